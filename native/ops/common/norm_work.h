#pragma once

#include <algorithm>

#include "native/ops/common/gpu_work.h"

/// Division of rms_norm and layer_norm among the blocks of a GPU, and their GpuWork. Their inputs begin with x, delta
/// and weight, their outputs with y.
namespace hint {

constexpr int kMostNormThreads = 512;

/// Threads for a row of d units, eight units each.
inline int normThreads(int64_t d) {
  return static_cast<int>(std::clamp<int64_t>((d + 255) / 256 * 32, 32, kMostNormThreads));
}

/// Rows per block of the backward pass, over which it sums the gradients of weight and bias: few enough for sums in f32
/// and for blocks to fill a device. It depends on the shape alone, so that the order of sums is the same on every
/// device.
inline int64_t normRowsPerPart(int64_t rows, int64_t d) {
  constexpr int64_t kThreads = int64_t{1} << 17, kMost = 64;
  return std::clamp<int64_t>((rows * normThreads(d) + kThreads - 1) / kThreads, 1, kMost);
}

/// One kernel forward. One kernel backward, and one per parameter that adds up the sums of the parts. `bias` is the
/// index of that input, -1 for none.
inline GpuWork normGpuWork(const Call& call, int bias) {
  constexpr int kX = 0, kDelta = 1, kWeight = 2, kY = 0;
  const int64_t rows = call.dim("rows"), d = call.dim("d");
  if (!call.backward) return {rows > 0 ? 1.0 : 0.0, 0};
  const int sums = wantsGradient(call, kWeight) + (bias >= 0 && wantsGradient(call, bias));
  const bool passesOn = wantsGradient(call, kX) || wantsGradient(call, kDelta);
  const bool adds = sums > 0 && call.gradOutputs[kY];
  const int64_t perPart = normRowsPerPart(rows, d), parts = adds ? (rows + perPart - 1) / perPart : 0;
  const double launches = (rows > 0 && d > 0 && (passesOn || adds)) + (d > 0 ? sums : 0);
  return {launches, 2.0 * sums * bytesOf(static_cast<double>(parts * d), DType::f32)};
}

}  // namespace hint
