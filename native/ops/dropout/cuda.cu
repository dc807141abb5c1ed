#include "native/ops/dropout/dropout.h"
#include "native/runtime/cuda/elements.cuh"

namespace hint {
namespace dropout {
namespace {

using namespace cuda;

/// destination = beta * destination + mask * value.
template <typename T>
void maskRows(const Call& call, T* destination, float beta, const T* value) {
  eachOfRows(
      call.dim("rows"), call.dim("d"), RowMask(call), result(destination, beta),
      [] __device__(float* masked, int64_t, float kept, float x) { masked[0] = kept * x; }, value);
}

template <typename T>
void backwardOf(const Call& call) {
  T* gx = dataOf<T>(inputGradient(call, kX));
  if (!gx) return;
  if (const T* gy = outputGradient<T>(call, kY))
    maskRows(call, gx, call.beta(kX), gy);
  else
    zeroGradient(call, kX);
}

void forwardCuda(Call& call) {
  byType(call.in(kX).dtype, [&](auto type) {
    using T = decltype(type);
    maskRows(call, output<T>(call, kY), 0.0f, input<T>(call, kX));
  });
}
void backwardCuda(Call& call) {
  byType(call.in(kX).dtype, [&](auto type) { backwardOf<decltype(type)>(call); });
}

}  // namespace
}  // namespace dropout

Kernels cuda_dropout() { return {dropout::forwardCuda, dropout::backwardCuda}; }

}  // namespace hint
