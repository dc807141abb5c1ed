#include "native/ops/common/elementwise.h"
#include "native/ops/common/reduce.h"
#include "native/ops/sum/sum.h"
#include "native/runtime/parallel.h"

namespace hint::sum {

void forward(Call& call) { *call.o(kY) = static_cast<float>(call.number("factor") * sumOf(call.f(kX), call.dim("n"))); }

void backward(Call& call) {
  float* gx = call.gi(kX);
  if (!gx) return;
  const float* gy = call.go(kY);
  if (!gy) {
    call.giZeroed(kX);
    return;
  }
  const auto value = static_cast<float>(call.number("factor") * *gy);
  const float beta = call.beta(kX);
  parallelFor(call.dim("n"), kElementGrain,
              [&](int64_t begin, int64_t end) { storeConstant(gx + begin, beta, value, end - begin); });
}

}  // namespace hint::sum
