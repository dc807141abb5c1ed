#include <cfloat>

#include "native/ops/adafactor/adafactor.h"
#include "native/ops/rounding.h"
#include "native/runtime/cuda/columns.cuh"
#include "native/runtime/cuda/reduce.cuh"

namespace hint {
namespace adafactor {
namespace {

using namespace cuda;

constexpr int kThreads = 256;

/// A floor that keeps a gradient of zero at an update of zero when a moment has underflown, and keeps NaN visible.
__device__ inline float floored(float value) { return value < FLT_MIN ? FLT_MIN : value; }

/// What the passes over one parameter, stored as T, share. Sums stay on the device.
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

  /// Subtracts `by` from element i.
  __device__ void subtract(int64_t i, float by) const { put(parameter + i, rounding(load(parameter + i) - by, i)); }

  /// What the update is multiplied with: learning rate, parameter scale and clipping.
  __device__ float step(double parameterSquares, double updateSquares) const {
    double step = learningRate;
    if (scaled) step *= fmax(epsilon2, sqrt(parameterSquares / static_cast<double>(count)));
    if (clippingThreshold > 0) step /= fmax(1.0, sqrt(updateSquares / static_cast<double>(count)) / clippingThreshold);
    return static_cast<float>(step);
  }
};

/// Device memory of the sums: squares of the parameter and of the unclipped update, sum of the row moments.
enum Sum { kParameterSquares, kUpdateSquares, kRowSum, kSums };

template <typename T>
void parameterSquares(const Update<T>& u, double* sums) {
  if (!u.scaled) return;
  const T* parameter = u.parameter;
  sumAll(
      u.count, [=] __device__(int64_t i) { return static_cast<double>(load(parameter + i)) * load(parameter + i); },
      [=] __device__(double sum) { sums[kParameterSquares] = sum; });
}

template <typename T>
void updateFull(const Update<T>& u, float* moment) {
  const Scratch<double> scratch(kSums);
  double* sums = scratch;
  parameterSquares(u, sums);
  sumAll(
      u.count,
      [=] __device__(int64_t i) {
        const float g = u.gradient[i] * u.gradientScale;
        const float v = floored(u.decay * moment[i] + u.mixing * (g * g + u.epsilon1));
        moment[i] = v;
        return static_cast<double>(g * g / v);
      },
      [=] __device__(double sum) { sums[kUpdateSquares] = sum; });
  each(u.count, [=] __device__(int64_t i) {
    const float step = u.step(sums[kParameterSquares], sums[kUpdateSquares]);
    u.subtract(i, step * (u.gradient[i] * u.gradientScale * (1.0f / sqrtf(moment[i]))));
  });
}

/// One row per block: the row's moment.
template <typename T>
__global__ void __launch_bounds__(kThreads) updateRowMoments(Update<T> u, int64_t columns, float* rowMoment) {
  const int64_t row = blockIdx.x;
  double sum = 0;
  for (int64_t j = threadIdx.x; j < columns; j += kThreads) {
    const float g = u.gradient[row * columns + j] * u.gradientScale;
    sum += g * g + u.epsilon1;
  }
  sum = blockSum(sum);
  if (threadIdx.x == 0)
    rowMoment[row] = u.decay * rowMoment[row] + u.mixing * static_cast<float>(sum / static_cast<double>(columns));
}

template <typename T>
__device__ inline float rowFactor(const Update<T>& u, const float* rowMoment, int64_t row, int64_t rows,
                                  double rowSum) {
  const float mean = floored(static_cast<float>(rowSum / static_cast<double>(rows)));
  return u.gradientScale / sqrtf(floored(rowMoment[row] / mean));
}

template <typename T>
void updateFactored(const Update<T>& u, int64_t rows, int64_t columns, float* rowMoment, float* columnMoment) {
  const Scratch<double> scratch(kSums);
  const Scratch<float> factors(columns);
  double* sums = scratch;
  float* columnFactors = factors;
  parameterSquares(u, sums);
  updateRowMoments<<<static_cast<unsigned>(rows), kThreads, 0, Context::current().stream()>>>(u, columns, rowMoment);
  launched();
  columnSums(
      rows, columns,
      [=] __device__(int64_t row, int64_t j) {
        const float g = u.gradient[row * columns + j] * u.gradientScale;
        return g * g + u.epsilon1;
      },
      [=] __device__(int64_t j, float sum) {
        const float moment = u.decay * columnMoment[j] + u.mixing * (sum / static_cast<float>(rows));
        columnMoment[j] = moment;
        columnFactors[j] = 1.0f / sqrtf(floored(moment));
      });
  sumAll(
      rows, [=] __device__(int64_t row) { return static_cast<double>(rowMoment[row]); },
      [=] __device__(double sum) { sums[kRowSum] = sum; });
  if (u.clippingThreshold > 0)
    sumAll(
        u.count,
        [=] __device__(int64_t i) {
          const float y =
              u.gradient[i] * rowFactor(u, rowMoment, i / columns, rows, sums[kRowSum]) * columnFactors[i % columns];
          return static_cast<double>(y) * y;
        },
        [=] __device__(double sum) { sums[kUpdateSquares] = sum; });
  each(u.count, [=] __device__(int64_t i) {
    const float y =
        u.gradient[i] * rowFactor(u, rowMoment, i / columns, rows, sums[kRowSum]) * columnFactors[i % columns];
    u.subtract(i, u.step(sums[kParameterSquares], sums[kUpdateSquares]) * y);
  });
}

void forwardCuda(Call& call) {
  if (call.dim("n") == 0) return;
  byType(call.in(kParameter).dtype, [&](auto type) {
    const Update<decltype(type)> update(call);
    if (call.has(kFullMoment))
      updateFull(update, dataOf<float>(call.in(kFullMoment)));
    else
      updateFactored(update, call.dim("rows"), call.dim("columns"), dataOf<float>(call.in(kRowMoment)),
                     dataOf<float>(call.in(kColumnMoment)));
  });
}

}  // namespace
}  // namespace adafactor

Kernels cuda_adafactor() { return {adafactor::forwardCuda, nullptr}; }

}  // namespace hint
