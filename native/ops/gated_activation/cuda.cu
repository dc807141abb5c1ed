#include "native/ops/common/activation.h"
#include "native/ops/gated_activation/gated_activation.h"
#include "native/runtime/cuda/activation.cuh"
#include "native/runtime/cuda/elements.cuh"

namespace hint {
namespace gated_activation {
namespace {

using namespace cuda;

template <typename T>
void forwardOf(const Call& call) {
  const Activation activation = activationOf(call);
  eachOfRows(
      call.dim("rows"), call.dim("dFf"), RowMask(call), result(output<T>(call, kY)),
      [=] __device__(float* y, int64_t, float kept, float gate, float linear) {
        y[0] = activate(activation, gate) * linear * kept;
      },
      input<T>(call, kGate), input<T>(call, kLinear));
}

template <typename T>
void backwardOf(const Call& call) {
  const T* gy = outputGradient<T>(call, kY);
  const Results<2, T> gradients{{dataOf<T>(inputGradient(call, kGate)), dataOf<T>(inputGradient(call, kLinear))},
                                {call.beta(kGate), call.beta(kLinear)}};
  if (!gy) {
    zeroGradient(call, kGate);
    zeroGradient(call, kLinear);
    return;
  }
  const Activation activation = activationOf(call);
  eachOfRows(
      call.dim("rows"), call.dim("dFf"), RowMask(call), gradients,
      [=] __device__(float* gradient, int64_t, float kept, float gate, float linear, float gy) {
        gradient[0] = gy * kept * linear * activationSlope(activation, gate);
        gradient[1] = gy * kept * activate(activation, gate);
      },
      input<T>(call, kGate), input<T>(call, kLinear), gy);
}

void forwardCuda(Call& call) {
  byType(call.in(kGate).dtype, [&](auto type) { forwardOf<decltype(type)>(call); });
}
void backwardCuda(Call& call) {
  byType(call.in(kGate).dtype, [&](auto type) { backwardOf<decltype(type)>(call); });
}

}  // namespace
}  // namespace gated_activation

Kernels cuda_gated_activation() { return {gated_activation::forwardCuda, gated_activation::backwardCuda}; }

}  // namespace hint
