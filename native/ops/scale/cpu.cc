#include "native/ops/common/elementwise.h"
#include "native/ops/scale/scale.h"
#include "native/runtime/parallel.h"

namespace hint::scale {
namespace {

void scaled(const Call& call, float* destination, float beta, const float* value) {
  const auto factor = static_cast<float>(call.number("factor"));
  parallelFor(call.dim("n"), kElementGrain, [&](int64_t begin, int64_t end) {
    store(destination + begin, beta, factor, value + begin, end - begin);
  });
}

}  // namespace

void forward(Call& call) { scaled(call, call.o(kY), 0.0f, call.f(kX)); }

void backward(Call& call) {
  const float* gy = call.go(kY);
  if (!gy)
    call.giZeroed(kX);
  else if (float* gx = call.gi(kX))
    scaled(call, gx, call.beta(kX), gy);
}

}  // namespace hint::scale
