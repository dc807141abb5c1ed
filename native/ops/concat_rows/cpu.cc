#include "native/ops/common/elementwise.h"
#include "native/ops/concat_rows/concat_rows.h"
#include "native/runtime/parallel.h"

namespace hint::concat_rows {
namespace {

void storeAll(float* destination, float beta, const float* value, int64_t count) {
  parallelFor(count, kElementGrain,
              [&](int64_t begin, int64_t end) { store(destination + begin, beta, 1.0f, value + begin, end - begin); });
}

}  // namespace

void forward(Call& call) {
  const int64_t d = call.dim("d"), countA = call.dim("rowsA") * d, countB = call.dim("rowsB") * d;
  float* y = call.o(kY);
  storeAll(y, 0.0f, call.f(kA), countA);
  storeAll(y + countA, 0.0f, call.f(kB), countB);
}

void backward(Call& call) {
  const int64_t d = call.dim("d"), countA = call.dim("rowsA") * d, countB = call.dim("rowsB") * d;
  const float* gy = call.go(kY);
  if (!gy) {
    call.giZeroed(kA);
    call.giZeroed(kB);
    return;
  }
  if (float* ga = call.gi(kA)) storeAll(ga, call.beta(kA), gy, countA);
  if (float* gb = call.gi(kB)) storeAll(gb, call.beta(kB), gy + countA, countB);
}

}  // namespace hint::concat_rows
