#include "native/ops/scale/scale.h"
#include "native/runtime/cuda/elements.cuh"

namespace hint {
namespace scale {
namespace {

using namespace cuda;

template <typename T>
void scaled(const Call& call, T* destination, float beta, const T* value) {
  const auto factor = static_cast<float>(call.number("factor"));
  eachElement(
      call.dim("n"), result(destination, beta),
      [=] __device__(float* scaled, int64_t, float, float x) { scaled[0] = factor * x; }, value);
}

template <typename T>
void backwardOf(const Call& call) {
  const T* gy = outputGradient<T>(call, kY);
  if (!gy)
    zeroGradient(call, kX);
  else if (T* gx = dataOf<T>(inputGradient(call, kX)))
    scaled(call, gx, call.beta(kX), gy);
}

void forwardCuda(Call& call) {
  byType(call.in(kX).dtype, [&](auto type) {
    using T = decltype(type);
    scaled(call, output<T>(call, kY), 0.0f, input<T>(call, kX));
  });
}
void backwardCuda(Call& call) {
  byType(call.in(kX).dtype, [&](auto type) { backwardOf<decltype(type)>(call); });
}

}  // namespace
}  // namespace scale

Kernels cuda_scale() { return {scale::forwardCuda, scale::backwardCuda}; }

}  // namespace hint
