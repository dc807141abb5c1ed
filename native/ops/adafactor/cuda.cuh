#pragma once

#include <cfloat>

#include "native/ops/adafactor/adafactor.h"
#include "native/ops/common/cuda/reduce.cuh"
#include "native/ops/common/cuda/rounding.cuh"
#include "native/ops/common/rounding.h"

/// What the kernels of an Adafactor update share. A small tensor takes one launch; others take two (full moments) or
/// three (factored), each of which reads every element once. Bytes moved an element, of a parameter of `s` bytes:
///   factored   sums s + 4, clipping 4, update 2 s + 4: 24 in f32, 18 in bf16
///   full       moments s + 12, update 2 s + 8:         32 in f32, 26 in bf16
/// Sums are taken in f32 over up to a few hundred values and in double beyond, in an order that depends on the shape
/// alone.
namespace hint::adafactor {

using namespace cuda;

constexpr int kThreads = 256, kWarps = kThreads / 32, kEight = 8;
/// The most elements of a tensor that one block updates.
constexpr int64_t kSmall = 16384;

/// A floor that keeps a gradient of zero at an update of zero when a moment has underflown, and keeps NaN visible.
__device__ inline float floored(float value) { return value < FLT_MIN ? FLT_MIN : value; }

/// An update of a parameter stored as T.
template <typename T>
struct Update {
  float decay, mixing, epsilon1, gradientScale;
  double learningRate, epsilon2, clippingThreshold;
  bool scaled;
  T* parameter;
  const float* gradient;
  int64_t count;
  Rounding rounding;

  explicit Update(const Call& call)
      : decay(static_cast<float>(call.number("decay"))),
        mixing(1.0f - decay),
        epsilon1(static_cast<float>(call.number("epsilon1"))),
        gradientScale(static_cast<float>(call.number("gradientScale"))),
        learningRate(call.number("learningRate")),
        epsilon2(call.number("epsilon2")),
        clippingThreshold(call.number("clippingThreshold")),
        scaled(call.integer("multiplyByParameterScale") != 0),
        parameter(dataOf<T>(call.in(kParameter))),
        gradient(input<float>(call, kGradient)),
        count(call.dim("n")),
        rounding(roundingOf(call)) {}

  HINT_HOST_DEVICE bool clips() const { return clippingThreshold > 0; }
  /// The factor of the update: learning rate, parameter scale and clipping.
  __device__ float step(double parameterSquares, double updateSquares) const {
    double step = learningRate;
    if (scaled) step *= fmax(epsilon2, sqrt(parameterSquares / static_cast<double>(count)));
    if (clippingThreshold > 0) step /= fmax(1.0, sqrt(updateSquares / static_cast<double>(count)) / clippingThreshold);
    return static_cast<float>(step);
  }
  /// A moment's next value, of `square` or a mean of them.
  __device__ float mixed(float moment, float square) const { return decay * moment + mixing * square; }
  __device__ float squareOf(float gradient) const {
    const float g = gradient * gradientScale;
    return g * g + epsilon1;
  }
  __device__ float rowFactor(float rowMoment, float mean) const {
    return gradientScale / sqrtf(floored(rowMoment / mean));
  }
  __device__ static float columnFactor(float columnMoment) { return 1.0f / sqrtf(floored(columnMoment)); }

  /// Subtracts `by` from element i.
  __device__ void subtract(int64_t i, float by) const { put(parameter + i, rounding(load(parameter + i) - by, i)); }
};

/// The sum of `count` values that other blocks of this launch have written. All threads get it.
template <typename V>
__device__ double sumOfOthers(const V* values, int64_t count) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += __ldcg(values + i);
  return blockSum(sum);
}

template <typename T>
void updateFull(const Call& call, const Update<T>& update);
template <typename T>
void updateFactored(const Call& call, const Update<T>& update);

}  // namespace hint::adafactor
