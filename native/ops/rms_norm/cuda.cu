#include "native/ops/rms_norm/rms_norm.h"
#include "native/runtime/cuda/columns.cuh"

namespace hint {
namespace rms_norm {
namespace {

using namespace cuda;

constexpr int kThreads = 256;

/// One row per block. The sum of squares reads what this thread has just written, so `sum` needs no barrier.
template <typename T>
__global__ void __launch_bounds__(kThreads) forwardRows(int64_t d, float epsilon, const T* x, const T* delta,
                                                        const T* weight, RowMask mask, T* y, T* sum, float* rstd) {
  const int64_t row = blockIdx.x;
  x += row * d;
  y += row * d;
  float squares = 0;
  const uint32_t group = mask.mask.active ? mask.group(row) : 0;
  for (int64_t i = threadIdx.x; i < d; i += kThreads) {
    float s = load(x + i);
    if (delta) {
      const float kept = mask.mask.active ? mask.mask.scale(group, static_cast<uint32_t>(i)) : 1.0f;
      s += kept * load(delta + row * d + i);
      put(sum + row * d + i, s);
      s = load(sum + row * d + i);
    }
    squares += s * s;
  }
  const float r = 1.0f / sqrtf(blockSum(squares) / static_cast<float>(d) + epsilon);
  if (threadIdx.x == 0) rstd[row] = r;
  const T* s = delta ? sum + row * d : x;
  for (int64_t i = threadIdx.x; i < d; i += kThreads) put(y + i, load(weight + i) * (load(s + i) * r));
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    backwardRows(int64_t d, const T* s, const T* weight, const float* rstd, const T* gy, const T* gsum, RowMask mask,
                 T* gx, float betaX, T* gdelta, float betaDelta) {
  const int64_t row = blockIdx.x, at = row * d;
  float dot = 0;
  if (gy)
    for (int64_t i = threadIdx.x; i < d; i += kThreads) dot += load(gy + at + i) * load(weight + i) * load(s + at + i);
  dot = blockSum(dot);
  const float r = rstd[row], along = r * r * r * dot / static_cast<float>(d);
  const uint32_t group = mask.mask.active ? mask.group(row) : 0;
  for (int64_t i = threadIdx.x; i < d; i += kThreads) {
    float gradient = gsum ? load(gsum + at + i) : 0.0f;
    if (gy) gradient += r * (load(weight + i) * load(gy + at + i)) - along * load(s + at + i);
    if (gx) store(gx + at + i, betaX, gradient);
    if (gdelta) {
      const float kept = mask.mask.active ? mask.mask.scale(group, static_cast<uint32_t>(i)) : 1.0f;
      store(gdelta + at + i, betaDelta, kept * gradient);
    }
  }
}

template <typename T, typename G>
void weightGradient(int64_t rows, int64_t d, const T* gy, const T* s, const float* rstd, G* gw, float beta) {
  columnSums(
      gy ? rows : 0, d,
      [=] __device__(int64_t row, int64_t i) { return load(gy + row * d + i) * (load(s + row * d + i) * rstd[row]); },
      [=] __device__(int64_t i, float sum) { store(gw + i, beta, sum); });
}

template <typename T>
void forwardOf(const Call& call) {
  const int64_t rows = call.dim("rows");
  if (rows == 0) return;
  forwardRows<<<static_cast<unsigned>(rows), kThreads, 0, Context::current().stream()>>>(
      call.dim("d"), static_cast<float>(call.number("epsilon")), input<T>(call, kX), input<T>(call, kDelta),
      input<T>(call, kWeight), call.has(kDelta) ? RowMask(call) : RowMask(), output<T>(call, kY), output<T>(call, kSum),
      output<float>(call, kRstd));
  launched();
}

template <typename T>
void backwardOf(const Call& call) {
  const int64_t rows = call.dim("rows"), d = call.dim("d");
  const T* s = call.has(kDelta) ? output<T>(call, kSum) : input<T>(call, kX);
  const T *gy = outputGradient<T>(call, kY), *gsum = call.has(kDelta) ? outputGradient<T>(call, kSum) : nullptr;
  const float* rstd = output<float>(call, kRstd);
  T *gx = dataOf<T>(inputGradient(call, kX)), *gdelta = dataOf<T>(inputGradient(call, kDelta));
  if (rows > 0 && (gx || gdelta)) {
    backwardRows<<<static_cast<unsigned>(rows), kThreads, 0, Context::current().stream()>>>(
        d, s, input<T>(call, kWeight), rstd, gy, gsum, gdelta ? RowMask(call) : RowMask(), gx, call.beta(kX), gdelta,
        call.beta(kDelta));
    launched();
  }
  if (const Tensor& gw = inputGradient(call, kWeight))
    byType(gw.dtype,
           [&](auto type) { weightGradient(rows, d, gy, s, rstd, dataOf<decltype(type)>(gw), call.beta(kWeight)); });
}

void forwardCuda(Call& call) {
  byType(call.in(kX).dtype, [&](auto type) { forwardOf<decltype(type)>(call); });
}
void backwardCuda(Call& call) {
  byType(call.in(kX).dtype, [&](auto type) { backwardOf<decltype(type)>(call); });
}

}  // namespace
}  // namespace rms_norm

Kernels cuda_rms_norm() { return {rms_norm::forwardCuda, rms_norm::backwardCuda}; }

}  // namespace hint
