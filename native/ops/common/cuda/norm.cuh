#pragma once

#include "native/runtime/cuda/device.cuh"

/// The rows of rms_norm and layer_norm, both of which may begin with a residual addition: s = x + dropout(delta), kept
/// in f32. Their inputs begin with x and delta, their outputs with y and sum. X, D and Y are the storage types of x,
/// delta and y.
namespace hint::cuda {

/// s of a forward pass that is over, or whose `make` the same thread has called.
template <typename X>
struct NormValues {
  const X* x;
  const float* sum;  ///< null without delta

  explicit NormValues(const Call& call) : x(input<X>(call, 0)), sum(call.has(1) ? output<float>(call, 1) : nullptr) {}
  __device__ float at(int64_t i) const { return sum ? sum[i] : load(x + i); }
};

/// What a row is made of, one block per row.
template <typename X, typename D>
struct NormRow {
  NormValues<X> values;
  const D* delta;
  float* sum;
  RowMask mask;

  explicit NormRow(const Call& call)
      : values(call), delta(input<D>(call, 1)), sum(output<float>(call, 1)), mask(delta ? RowMask(call) : RowMask()) {}

  __device__ uint32_t group(int64_t row) const { return mask.mask.active ? mask.group(row) : 0; }
  /// Unit i of the row that begins `at`, as `values` has it from now on. A thread reads again only what it has written
  /// itself, so the output `sum` needs no barrier.
  __device__ float make(uint32_t group, int64_t at, int64_t i) const {
    const float x = load(values.x + at + i);
    if (!delta) return x;
    const float kept = mask.mask.active ? mask.mask.scale(group, static_cast<uint32_t>(i)) : 1.0f;
    return sum[at + i] = x + kept * load(delta + at + i);
  }
};

/// Where the gradient of s comes from beside y, and goes to.
template <typename X, typename D, typename Y>
struct NormRowGradient {
  const Y* gy;
  const float* gsum;
  X* gx;
  D* gdelta;
  float betaX, betaDelta;
  RowMask mask;

  explicit NormRowGradient(const Call& call)
      : gy(outputGradient<Y>(call, 0)),
        gsum(call.has(1) ? outputGradient<float>(call, 1) : nullptr),
        gx(dataOf<X>(inputGradient(call, 0))),
        gdelta(dataOf<D>(inputGradient(call, 1))),
        betaX(call.beta(0)),
        betaDelta(call.beta(1)),
        mask(gdelta ? RowMask(call) : RowMask()) {}

  bool wanted() const { return gx || gdelta; }
  __device__ uint32_t group(int64_t row) const { return mask.mask.active ? mask.group(row) : 0; }
  /// `throughY` is the gradient that unit i of the row that begins `at` gets through y.
  __device__ void finish(uint32_t group, int64_t at, int64_t i, float throughY) const {
    const float gradient = (gsum ? gsum[at + i] : 0.0f) + throughY;
    if (gx) store(gx + at + i, betaX, gradient);
    if (!gdelta) return;
    const float kept = mask.mask.active ? mask.mask.scale(group, static_cast<uint32_t>(i)) : 1.0f;
    store(gdelta + at + i, betaDelta, kept * gradient);
  }
};

/// Runs body(X{}, D{}, Y{}) with the storage types of a call; without delta, D is that of y.
template <typename Body>
void byNormTypes(const Call& call, Body body) {
  const DType y = call.out(0).dtype;
  byType(call.in(0).dtype, [&](auto x) {
    byType(call.has(1) ? call.in(1).dtype : y,
           [&](auto delta) { byType(y, [&](auto result) { body(x, delta, result); }); });
  });
}

}  // namespace hint::cuda
