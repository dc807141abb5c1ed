#pragma once

#include <algorithm>

#include "native/ops/common/gpu_work.h"

/// How rms_norm and layer_norm are spread over a GPU, and what they take there. Their inputs begin with x, delta and
/// weight, their outputs with y.
namespace hint {

constexpr int kMostNormThreads = 512;

/// Threads for a row of d units, eight units each.
inline int normThreads(int64_t d) {
  return static_cast<int>(std::clamp<int64_t>((d + 255) / 256 * 32, 32, kMostNormThreads));
}

/// Rows that a block of the backward pass takes one after the other, whose gradients of weight and bias it adds up: few
/// enough for sums in f32, and for blocks that fill a device. The shape alone decides, so that sums run in one order
/// everywhere.
inline int64_t normRowsPerPart(int64_t rows, int64_t d) {
  constexpr int64_t kThreads = int64_t{1} << 17, kMost = 64;
  return std::clamp<int64_t>((rows * normThreads(d) + kThreads - 1) / kThreads, 1, kMost);
}

/// One kernel forward. Backward one too, whose sums over the rows of a part are added up by one for every parameter;
/// `bias` is the input that has it, -1 for none.
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
