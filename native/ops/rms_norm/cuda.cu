#include "native/ops/rms_norm/rms_norm.h"
#include "native/runtime/cuda/columns.cuh"
#include "native/runtime/cuda/norm.cuh"

namespace hint {
namespace rms_norm {
namespace {

using namespace cuda;

constexpr int kThreads = 256;

/// One row per block.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    forwardRows(int64_t d, float epsilon, NormRow<T> of, const T* weight, T* y, float* rstd) {
  const int64_t row = blockIdx.x, at = row * d;
  const uint32_t group = of.group(row);
  float squares = 0;
  for (int64_t i = threadIdx.x; i < d; i += kThreads) {
    const float s = of.make(group, at, i);
    squares += s * s;
  }
  const float r = 1.0f / sqrtf(blockSum(squares) / static_cast<float>(d) + epsilon);
  if (threadIdx.x == 0) rstd[row] = r;
  const T* s = of.values(at);
  for (int64_t i = threadIdx.x; i < d; i += kThreads) put(y + at + i, load(weight + i) * (load(s + i) * r));
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    backwardRows(int64_t d, const T* s, const T* weight, const float* rstd, NormRowGradient<T> of) {
  const int64_t row = blockIdx.x, at = row * d;
  const T* gy = of.gy;
  float dot = 0;
  if (gy)
    for (int64_t i = threadIdx.x; i < d; i += kThreads) dot += load(gy + at + i) * load(weight + i) * load(s + at + i);
  dot = blockSum(dot);
  const float r = rstd[row], along = r * r * r * dot / static_cast<float>(d);
  const uint32_t group = of.group(row);
  for (int64_t i = threadIdx.x; i < d; i += kThreads)
    of.finish(group, at, i, gy ? r * (load(weight + i) * load(gy + at + i)) - along * load(s + at + i) : 0.0f);
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
      call.dim("d"), static_cast<float>(call.number("epsilon")), NormRow<T>(call), input<T>(call, kWeight),
      output<T>(call, kY), output<float>(call, kRstd));
  launched();
}

template <typename T>
void backwardOf(const Call& call) {
  const int64_t rows = call.dim("rows"), d = call.dim("d");
  const T* s = normValues<T>(call);
  const float* rstd = output<float>(call, kRstd);
  const NormRowGradient<T> gradient(call);
  if (rows > 0 && gradient.wanted()) {
    backwardRows<<<static_cast<unsigned>(rows), kThreads, 0, Context::current().stream()>>>(
        d, s, input<T>(call, kWeight), rstd, gradient);
    launched();
  }
  if (const Tensor& gw = inputGradient(call, kWeight))
    byType(gw.dtype, [&](auto type) {
      weightGradient(rows, d, gradient.gy, s, rstd, dataOf<decltype(type)>(gw), call.beta(kWeight));
    });
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
