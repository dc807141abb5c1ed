#pragma once

#include "native/runtime/cuda/device.cuh"

/// The rows of rms_norm and layer_norm, both of which may begin with a residual addition: s = x + dropout(delta). Their
/// inputs begin with x and delta, their outputs with y and sum.
namespace hint::cuda {

/// What a row is made of, one block per row.
template <typename T>
struct NormRow {
  const T *x, *delta;
  T* sum;
  RowMask mask;

  explicit NormRow(const Call& call)
      : x(input<T>(call, 0)),
        delta(input<T>(call, 1)),
        sum(output<T>(call, 1)),
        mask(delta ? RowMask(call) : RowMask()) {}

  __device__ uint32_t group(int64_t row) const { return mask.mask.active ? mask.group(row) : 0; }
  /// Unit i of the row that begins `at`, as `values` has it from now on. A thread reads again only what it has written
  /// itself, so the output `sum` needs no barrier.
  __device__ float make(uint32_t group, int64_t at, int64_t i) const {
    if (!delta) return load(x + at + i);
    const float kept = mask.mask.active ? mask.mask.scale(group, static_cast<uint32_t>(i)) : 1.0f;
    put(sum + at + i, load(x + at + i) + kept * load(delta + at + i));
    return load(sum + at + i);
  }
  __device__ const T* values(int64_t at) const { return (delta ? sum : x) + at; }
};

/// Where the gradient of s comes from beside y, and goes to.
template <typename T>
struct NormRowGradient {
  const T *gy, *gsum;
  T *gx, *gdelta;
  float betaX, betaDelta;
  RowMask mask;

  explicit NormRowGradient(const Call& call)
      : gy(outputGradient<T>(call, 0)),
        gsum(call.has(1) ? outputGradient<T>(call, 1) : nullptr),
        gx(dataOf<T>(inputGradient(call, 0))),
        gdelta(dataOf<T>(inputGradient(call, 1))),
        betaX(call.beta(0)),
        betaDelta(call.beta(1)),
        mask(gdelta ? RowMask(call) : RowMask()) {}

  bool wanted() const { return gx || gdelta; }
  __device__ uint32_t group(int64_t row) const { return mask.mask.active ? mask.group(row) : 0; }
  /// `throughY` is the gradient that unit i of the row that begins `at` gets through y.
  __device__ void finish(uint32_t group, int64_t at, int64_t i, float throughY) const {
    const float gradient = (gsum ? load(gsum + at + i) : 0.0f) + throughY;
    if (gx) store(gx + at + i, betaX, gradient);
    if (!gdelta) return;
    const float kept = mask.mask.active ? mask.mask.scale(group, static_cast<uint32_t>(i)) : 1.0f;
    store(gdelta + at + i, betaDelta, kept * gradient);
  }
};

/// s of a forward pass that is over.
template <typename T>
const T* normValues(const Call& call) {
  return call.has(1) ? output<T>(call, 1) : input<T>(call, 0);
}

}  // namespace hint::cuda
