#include "native/ops/layer_norm/layer_norm.h"
#include "native/runtime/cuda/columns.cuh"

namespace hint {
namespace layer_norm {
namespace {

using namespace cuda;

constexpr int kThreads = 256;

/// One row per block. Each thread reads again only what it has written itself, so `sum` needs no barrier.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    forwardRows(int64_t d, float epsilon, const T* x, const T* delta, const T* weight, const T* bias, RowMask mask,
                T* y, T* sum, float* means, float* rstd) {
  const int64_t row = blockIdx.x, at = row * d;
  const uint32_t group = mask.mask.active ? mask.group(row) : 0;
  float total = 0;
  for (int64_t i = threadIdx.x; i < d; i += kThreads) {
    float s = load(x + at + i);
    if (delta) {
      const float kept = mask.mask.active ? mask.mask.scale(group, static_cast<uint32_t>(i)) : 1.0f;
      put(sum + at + i, s + kept * load(delta + at + i));
      s = load(sum + at + i);
    }
    total += s;
  }
  const T* s = delta ? sum + at : x + at;
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
    backwardRows(int64_t d, const T* s, const T* weight, const float* means, const float* rstd, const T* gy,
                 const T* gsum, RowMask mask, T* gx, float betaX, T* gdelta, float betaDelta) {
  const int64_t row = blockIdx.x, at = row * d;
  const float mean = means[row], r = rstd[row];
  float plain = 0, along = 0;
  if (gy)
    for (int64_t i = threadIdx.x; i < d; i += kThreads) {
      const float g = load(weight + i) * load(gy + at + i);
      plain += g;
      along += g * ((load(s + at + i) - mean) * r);
    }
  plain = blockSum(plain) / static_cast<float>(d);
  along = blockSum(along) / static_cast<float>(d);
  const uint32_t group = mask.mask.active ? mask.group(row) : 0;
  for (int64_t i = threadIdx.x; i < d; i += kThreads) {
    float gradient = gsum ? load(gsum + at + i) : 0.0f;
    if (gy) gradient += r * (load(weight + i) * load(gy + at + i) - plain - (load(s + at + i) - mean) * r * along);
    if (gx) store(gx + at + i, betaX, gradient);
    if (gdelta) {
      const float kept = mask.mask.active ? mask.mask.scale(group, static_cast<uint32_t>(i)) : 1.0f;
      store(gdelta + at + i, betaDelta, kept * gradient);
    }
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
      call.dim("d"), static_cast<float>(call.number("epsilon")), input<T>(call, kX), input<T>(call, kDelta),
      input<T>(call, kWeight), input<T>(call, kBias), call.has(kDelta) ? RowMask(call) : RowMask(), output<T>(call, kY),
      output<T>(call, kSum), output<float>(call, kMean), output<float>(call, kRstd));
  launched();
}

template <typename T>
void backwardOf(const Call& call) {
  const int64_t rows = call.dim("rows"), d = call.dim("d");
  const T* s = call.has(kDelta) ? output<T>(call, kSum) : input<T>(call, kX);
  const T *gy = outputGradient<T>(call, kY), *gsum = call.has(kDelta) ? outputGradient<T>(call, kSum) : nullptr;
  const float *means = output<float>(call, kMean), *rstd = output<float>(call, kRstd);
  T *gx = dataOf<T>(inputGradient(call, kX)), *gdelta = dataOf<T>(inputGradient(call, kDelta));
  if (rows > 0 && (gx || gdelta)) {
    backwardRows<<<static_cast<unsigned>(rows), kThreads, 0, Context::current().stream()>>>(
        d, s, input<T>(call, kWeight), means, rstd, gy, gsum, gdelta ? RowMask(call) : RowMask(), gx, call.beta(kX),
        gdelta, call.beta(kDelta));
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
