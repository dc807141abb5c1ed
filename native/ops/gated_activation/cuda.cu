#include "native/ops/common/activation.h"
#include "native/ops/gated_activation/gated_activation.h"
#include "native/runtime/cuda/activation.cuh"

namespace hint {
namespace gated_activation {
namespace {

using namespace cuda;

/// Runs body(index, factor) for every element, where factor is that of dropout.
template <typename Body>
void eachMasked(const Call& call, Body body) {
  const int64_t d = call.dim("dFf"), quads = (d + 3) / 4;
  const RowMask rows(call);
  each(call.dim("rows") * quads, [=] __device__(int64_t index) {
    const int64_t row = index / quads, unit = index % quads * 4;
    float kept[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    if (rows.mask.active) rows.mask.quad(rows.group(row), static_cast<uint32_t>(unit), kept);
    for (int lane = 0; lane < 4 && unit + lane < d; ++lane) body(row * d + unit + lane, kept[lane]);
  });
}

template <typename T>
void forwardOf(const Call& call) {
  const T *gate = input<T>(call, kGate), *linear = input<T>(call, kLinear);
  T* y = output<T>(call, kY);
  const Activation activation = activationOf(call);
  eachMasked(call, [=] __device__(int64_t i, float factor) {
    put(y + i, activate(activation, load(gate + i)) * load(linear + i) * factor);
  });
}

template <typename T>
void backwardOf(const Call& call) {
  const T *gate = input<T>(call, kGate), *linear = input<T>(call, kLinear), *gy = outputGradient<T>(call, kY);
  T *gradientGate = dataOf<T>(inputGradient(call, kGate)), *gradientLinear = dataOf<T>(inputGradient(call, kLinear));
  if (!gy) {
    zeroGradient(call, kGate);
    zeroGradient(call, kLinear);
    return;
  }
  const Activation activation = activationOf(call);
  const float betaGate = call.beta(kGate), betaLinear = call.beta(kLinear);
  eachMasked(call, [=] __device__(int64_t i, float factor) {
    const float g = load(gate + i), l = load(linear + i), gradient = load(gy + i) * factor;
    if (gradientGate) store(gradientGate + i, betaGate, gradient * l * activationSlope(activation, g));
    if (gradientLinear) store(gradientLinear + i, betaLinear, gradient * activate(activation, g));
  });
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
