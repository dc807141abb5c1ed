#include "native/ops/dropout/dropout.h"
#include "native/runtime/cuda/device.cuh"

namespace hint {
namespace dropout {
namespace {

using namespace cuda;

/// destination = beta * destination + mask * value. A thread has four units, which share one draw.
template <typename T>
void maskRows(const Call& call, T* destination, float beta, const T* value) {
  const int64_t d = call.dim("d"), quads = (d + 3) / 4;
  const RowMask rows(call);
  each(call.dim("rows") * quads, [=] __device__(int64_t index) {
    const int64_t row = index / quads, unit = index % quads * 4;
    float kept[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    if (rows.mask.active) rows.mask.quad(rows.group(row), static_cast<uint32_t>(unit), kept);
    for (int lane = 0; lane < 4 && unit + lane < d; ++lane) {
      const int64_t at = row * d + unit + lane;
      store(destination + at, beta, kept[lane] * load(value + at));
    }
  });
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
