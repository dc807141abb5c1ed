#include "native/ops/layer_norm/layer_norm.h"
#include "native/runtime/cuda/columns.cuh"
#include "native/runtime/cuda/norm.cuh"

namespace hint {
namespace layer_norm {
namespace {

using namespace cuda;

constexpr int kThreads = 256;

/// One row per block.
template <typename T>
__global__ void __launch_bounds__(kThreads) forwardRows(int64_t d, float epsilon, NormRow<T> of, const T* weight,
                                                        const T* bias, T* y, float* means, float* rstd) {
  const int64_t row = blockIdx.x, at = row * d;
  const uint32_t group = of.group(row);
  float total = 0;
  for (int64_t i = threadIdx.x; i < d; i += kThreads) total += of.make(group, at, i);
  const T* s = of.values(at);
  const float mean = blockSum(total) / static_cast<float>(d);
  // Of the differences: the difference of two large sums would lose the variance of a row far from 0.
  float squares = 0;
  for (int64_t i = threadIdx.x; i < d; i += kThreads) {
    const float difference = load(s + i) - mean;
    squares += difference * difference;
  }
  const float r = 1.0f / sqrtf(blockSum(squares) / static_cast<float>(d) + epsilon);
  if (threadIdx.x == 0) {
    means[row] = mean;
    rstd[row] = r;
  }
  for (int64_t i = threadIdx.x; i < d; i += kThreads)
    put(y + at + i, load(weight + i) * ((load(s + i) - mean) * r) + load(bias + i));
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    backwardRows(int64_t d, const T* s, const T* weight, const float* means, const float* rstd, NormRowGradient<T> of) {
  const int64_t row = blockIdx.x, at = row * d;
  const float mean = means[row], r = rstd[row];
  const T* gy = of.gy;
  float plain = 0, along = 0;
  if (gy)
    for (int64_t i = threadIdx.x; i < d; i += kThreads) {
      const float g = load(weight + i) * load(gy + at + i);
      plain += g;
      along += g * ((load(s + at + i) - mean) * r);
    }
  plain = blockSum(plain) / static_cast<float>(d);
  along = blockSum(along) / static_cast<float>(d);
  const uint32_t group = of.group(row);
  for (int64_t i = threadIdx.x; i < d; i += kThreads) {
    const float through =
        gy ? load(weight + i) * load(gy + at + i) - plain - (load(s + at + i) - mean) * r * along : 0.0f;
    of.finish(group, at, i, r * through);
  }
}

template <typename T, typename G>
void weightGradient(int64_t rows, int64_t d, const T* gy, const T* s, const float* means, const float* rstd, G* gw,
                    float beta) {
  columnSums(
      gy ? rows : 0, d,
      [=] __device__(int64_t row, int64_t i) {
        return load(gy + row * d + i) * ((load(s + row * d + i) - means[row]) * rstd[row]);
      },
      [=] __device__(int64_t i, float sum) { store(gw + i, beta, sum); });
}

template <typename T, typename G>
void biasGradient(int64_t rows, int64_t d, const T* gy, G* gb, float beta) {
  columnSums(
      gy ? rows : 0, d, [=] __device__(int64_t row, int64_t i) { return load(gy + row * d + i); },
      [=] __device__(int64_t i, float sum) { store(gb + i, beta, sum); });
}

template <typename T>
void forwardOf(const Call& call) {
  const int64_t rows = call.dim("rows");
  if (rows == 0) return;
  forwardRows<<<static_cast<unsigned>(rows), kThreads, 0, Context::current().stream()>>>(
      call.dim("d"), static_cast<float>(call.number("epsilon")), NormRow<T>(call), input<T>(call, kWeight),
      input<T>(call, kBias), output<T>(call, kY), output<float>(call, kMean), output<float>(call, kRstd));
  launched();
}

template <typename T>
void backwardOf(const Call& call) {
  const int64_t rows = call.dim("rows"), d = call.dim("d");
  const T* s = normValues<T>(call);
  const float *means = output<float>(call, kMean), *rstd = output<float>(call, kRstd);
  const NormRowGradient<T> gradient(call);
  const T* gy = gradient.gy;
  if (rows > 0 && gradient.wanted()) {
    backwardRows<<<static_cast<unsigned>(rows), kThreads, 0, Context::current().stream()>>>(
        d, s, input<T>(call, kWeight), means, rstd, gradient);
    launched();
  }
  if (const Tensor& gw = inputGradient(call, kWeight))
    byType(gw.dtype, [&](auto type) {
      weightGradient(rows, d, gy, s, means, rstd, dataOf<decltype(type)>(gw), call.beta(kWeight));
    });
  if (const Tensor& gb = inputGradient(call, kBias))
    byType(gb.dtype, [&](auto type) { biasGradient(rows, d, gy, dataOf<decltype(type)>(gb), call.beta(kBias)); });
}

void forwardCuda(Call& call) {
  byType(call.in(kX).dtype, [&](auto type) { forwardOf<decltype(type)>(call); });
}
void backwardCuda(Call& call) {
  byType(call.in(kX).dtype, [&](auto type) { backwardOf<decltype(type)>(call); });
}

}  // namespace
}  // namespace layer_norm

Kernels cuda_layer_norm() { return {layer_norm::forwardCuda, layer_norm::backwardCuda}; }

}  // namespace hint
