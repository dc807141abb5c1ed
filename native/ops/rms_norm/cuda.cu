#include "native/ops/common/cuda/columns.cuh"
#include "native/ops/common/cuda/norm.cuh"
#include "native/ops/rms_norm/rms_norm.h"

namespace hint {
namespace rms_norm {
namespace {

using namespace cuda;

constexpr int kThreads = 256;

/// One row per block.
template <typename X, typename D, typename Y>
__global__ void __launch_bounds__(kThreads)
    forwardRows(int64_t d, float epsilon, NormRow<X, D> of, const float* weight, Y* y, float* rstd) {
  const int64_t row = blockIdx.x, at = row * d;
  const uint32_t group = of.group(row);
  float squares = 0;
  for (int64_t i = threadIdx.x; i < d; i += kThreads) {
    const float s = of.make(group, at, i);
    squares += s * s;
  }
  const float r = 1.0f / sqrtf(blockSum(squares) / static_cast<float>(d) + epsilon);
  if (threadIdx.x == 0) rstd[row] = r;
  for (int64_t i = threadIdx.x; i < d; i += kThreads) put(y + at + i, weight[i] * (of.values.at(at + i) * r));
}

template <typename X, typename D, typename Y>
__global__ void __launch_bounds__(kThreads)
    backwardRows(int64_t d, NormValues<X> s, const float* weight, const float* rstd, NormRowGradient<X, D, Y> of) {
  const int64_t row = blockIdx.x, at = row * d;
  const Y* gy = of.gy;
  float dot = 0;
  if (gy)
    for (int64_t i = threadIdx.x; i < d; i += kThreads) dot += load(gy + at + i) * weight[i] * s.at(at + i);
  dot = blockSum(dot);
  const float r = rstd[row], along = r * r * r * dot / static_cast<float>(d);
  const uint32_t group = of.group(row);
  for (int64_t i = threadIdx.x; i < d; i += kThreads)
    of.finish(group, at, i, gy ? r * (weight[i] * load(gy + at + i)) - along * s.at(at + i) : 0.0f);
}

template <typename X, typename Y>
void weightGradient(int64_t rows, int64_t d, const Y* gy, NormValues<X> s, const float* rstd, float* gw, float beta) {
  columnSums(
      gy ? rows : 0, d,
      [=] __device__(int64_t row, int64_t i) { return load(gy + row * d + i) * (s.at(row * d + i) * rstd[row]); },
      [=] __device__(int64_t i, float sum) { store(gw + i, beta, sum); });
}

template <typename X, typename D, typename Y>
void forwardOf(const Call& call) {
  const int64_t rows = call.dim("rows");
  if (rows == 0) return;
  forwardRows<<<static_cast<unsigned>(rows), kThreads, 0, Context::current().stream()>>>(
      call.dim("d"), static_cast<float>(call.number("epsilon")), NormRow<X, D>(call), input<float>(call, kWeight),
      output<Y>(call, kY), output<float>(call, kRstd));
  launched();
}

template <typename X, typename D, typename Y>
void backwardOf(const Call& call) {
  const int64_t rows = call.dim("rows"), d = call.dim("d");
  const NormValues<X> s(call);
  const float* rstd = output<float>(call, kRstd);
  const NormRowGradient<X, D, Y> gradient(call);
  if (rows > 0 && gradient.wanted()) {
    backwardRows<<<static_cast<unsigned>(rows), kThreads, 0, Context::current().stream()>>>(
        d, s, input<float>(call, kWeight), rstd, gradient);
    launched();
  }
  if (float* gw = dataOf<float>(inputGradient(call, kWeight)))
    weightGradient(rows, d, gradient.gy, s, rstd, gw, call.beta(kWeight));
}

void forwardCuda(Call& call) {
  byNormTypes(call, [&](auto x, auto delta, auto y) { forwardOf<decltype(x), decltype(delta), decltype(y)>(call); });
}
void backwardCuda(Call& call) {
  byNormTypes(call, [&](auto x, auto delta, auto y) { backwardOf<decltype(x), decltype(delta), decltype(y)>(call); });
}

}  // namespace
}  // namespace rms_norm

Kernels cuda_rms_norm() { return {rms_norm::forwardCuda, rms_norm::backwardCuda}; }

}  // namespace hint
