#include "native/ops/common/cuda/columns.cuh"
#include "native/ops/common/cuda/norm.cuh"
#include "native/ops/layer_norm/layer_norm.h"

namespace hint {
namespace layer_norm {
namespace {

using namespace cuda;

constexpr int kThreads = 256;

/// One row per block.
template <typename X, typename D, typename Y>
__global__ void __launch_bounds__(kThreads) forwardRows(int64_t d, float epsilon, NormRow<X, D> of, const float* weight,
                                                        const float* bias, Y* y, float* means, float* rstd) {
  const int64_t row = blockIdx.x, at = row * d;
  const uint32_t group = of.group(row);
  float total = 0;
  for (int64_t i = threadIdx.x; i < d; i += kThreads) total += of.make(group, at, i);
  const float mean = blockSum(total) / static_cast<float>(d);
  // Of the differences: the difference of two large sums would lose the variance of a row far from 0.
  float squares = 0;
  for (int64_t i = threadIdx.x; i < d; i += kThreads) {
    const float difference = of.values.at(at + i) - mean;
    squares += difference * difference;
  }
  const float r = 1.0f / sqrtf(blockSum(squares) / static_cast<float>(d) + epsilon);
  if (threadIdx.x == 0) {
    means[row] = mean;
    rstd[row] = r;
  }
  for (int64_t i = threadIdx.x; i < d; i += kThreads)
    put(y + at + i, weight[i] * ((of.values.at(at + i) - mean) * r) + bias[i]);
}

template <typename X, typename D, typename Y>
__global__ void __launch_bounds__(kThreads)
    backwardRows(int64_t d, NormValues<X> s, const float* weight, const float* means, const float* rstd,
                 NormRowGradient<X, D, Y> of) {
  const int64_t row = blockIdx.x, at = row * d;
  const float mean = means[row], r = rstd[row];
  const Y* gy = of.gy;
  float plain = 0, along = 0;
  if (gy)
    for (int64_t i = threadIdx.x; i < d; i += kThreads) {
      const float g = weight[i] * load(gy + at + i);
      plain += g;
      along += g * ((s.at(at + i) - mean) * r);
    }
  plain = blockSum(plain) / static_cast<float>(d);
  along = blockSum(along) / static_cast<float>(d);
  const uint32_t group = of.group(row);
  for (int64_t i = threadIdx.x; i < d; i += kThreads) {
    const float through = gy ? weight[i] * load(gy + at + i) - plain - (s.at(at + i) - mean) * r * along : 0.0f;
    of.finish(group, at, i, r * through);
  }
}

template <typename X, typename Y>
void weightGradient(int64_t rows, int64_t d, const Y* gy, NormValues<X> s, const float* means, const float* rstd,
                    float* gw, float beta) {
  columnSums(
      gy ? rows : 0, d,
      [=] __device__(int64_t row, int64_t i) {
        return load(gy + row * d + i) * ((s.at(row * d + i) - means[row]) * rstd[row]);
      },
      [=] __device__(int64_t i, float sum) { store(gw + i, beta, sum); });
}

template <typename Y>
void biasGradient(int64_t rows, int64_t d, const Y* gy, float* gb, float beta) {
  columnSums(
      gy ? rows : 0, d, [=] __device__(int64_t row, int64_t i) { return load(gy + row * d + i); },
      [=] __device__(int64_t i, float sum) { store(gb + i, beta, sum); });
}

template <typename X, typename D, typename Y>
void forwardOf(const Call& call) {
  const int64_t rows = call.dim("rows");
  if (rows == 0) return;
  forwardRows<<<static_cast<unsigned>(rows), kThreads, 0, Context::current().stream()>>>(
      call.dim("d"), static_cast<float>(call.number("epsilon")), NormRow<X, D>(call), input<float>(call, kWeight),
      input<float>(call, kBias), output<Y>(call, kY), output<float>(call, kMean), output<float>(call, kRstd));
  launched();
}

template <typename X, typename D, typename Y>
void backwardOf(const Call& call) {
  const int64_t rows = call.dim("rows"), d = call.dim("d");
  const NormValues<X> s(call);
  const float *means = output<float>(call, kMean), *rstd = output<float>(call, kRstd);
  const NormRowGradient<X, D, Y> gradient(call);
  const Y* gy = gradient.gy;
  if (rows > 0 && gradient.wanted()) {
    backwardRows<<<static_cast<unsigned>(rows), kThreads, 0, Context::current().stream()>>>(
        d, s, input<float>(call, kWeight), means, rstd, gradient);
    launched();
  }
  if (float* gw = dataOf<float>(inputGradient(call, kWeight)))
    weightGradient(rows, d, gy, s, means, rstd, gw, call.beta(kWeight));
  if (float* gb = dataOf<float>(inputGradient(call, kBias))) biasGradient(rows, d, gy, gb, call.beta(kBias));
}

void forwardCuda(Call& call) {
  byNormTypes(call, [&](auto x, auto delta, auto y) { forwardOf<decltype(x), decltype(delta), decltype(y)>(call); });
}
void backwardCuda(Call& call) {
  byNormTypes(call, [&](auto x, auto delta, auto y) { backwardOf<decltype(x), decltype(delta), decltype(y)>(call); });
}

}  // namespace
}  // namespace layer_norm

Kernels cuda_layer_norm() { return {layer_norm::forwardCuda, layer_norm::backwardCuda}; }

}  // namespace hint
