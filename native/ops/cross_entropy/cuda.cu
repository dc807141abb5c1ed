#include <algorithm>

#include "native/ops/cross_entropy/cross_entropy.h"
#include "native/runtime/cuda/device.cuh"
#include "native/runtime/cuda/gemm.h"

namespace hint {
namespace cross_entropy {
namespace {

using namespace cuda;

constexpr int kThreads = 512;

/// One row per block: maximum and sum of exponentials in one pass, each thread with its own pair.
__global__ void __launch_bounds__(kThreads)
    lossOfRows(const float* logits, int64_t vocab, const int32_t* targets, int64_t firstRow, float zLoss, float* loss,
               float* zTerm, float* logSumExp, FaultWord* fault) {
  const int64_t row = firstRow + blockIdx.x;
  logits += blockIdx.x * vocab;
  float maximum = -INFINITY, sum = 0;
  for (int64_t i = threadIdx.x; i < vocab; i += kThreads) {
    const float x = logits[i];
    if (x == -INFINITY) continue;  // it adds nothing, and its difference to an infinite maximum is NaN
    if (x > maximum) {
      sum = sum * expf(maximum - x) + 1.0f;
      maximum = x;
    } else {
      sum += expf(x - maximum);
    }
  }
  __shared__ float maxima[kThreads];
  maxima[threadIdx.x] = maximum;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) maxima[threadIdx.x] = fmaxf(maxima[threadIdx.x], maxima[threadIdx.x + half]);
    __syncthreads();
  }
  const float largest = maxima[0];
  // A thread without columns has the maximum -INFINITY. NaN logits make the sum NaN through `x - maximum`.
  sum = blockSum(maximum == -INFINITY ? sum : sum * expf(maximum - largest));
  if (threadIdx.x > 0) return;
  const float logZ = largest + logf(sum);
  const int32_t target = targets[row];
  logSumExp[row] = logZ;
  zTerm[row] = zLoss * logZ * logZ;
  if (target < 0 || target >= vocab)
    reportFault(fault, static_cast<uint32_t>(row), target);
  else
    loss[row] = logZ - logits[target];
}

/// gradient = (softmax - onehot(target)) * gLoss + softmax * 2 zLoss logZ gZ. blockIdx.x is the row, because there may
/// be more rows than a grid's y and z have blocks.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    gradientOfRows(const float* logits, int64_t vocab, const int32_t* targets, int64_t firstRow, float zLoss,
                   const float* logSumExp, const float* gLoss, const float* gZ, T* gradient) {
  const int64_t row = firstRow + blockIdx.x, at = blockIdx.x * vocab;
  const float g = gLoss ? gLoss[row] : 0.0f, logZ = logSumExp[row];
  const float factor = g + (gZ ? gZ[row] * 2.0f * zLoss * logZ : 0.0f);
  const int32_t target = targets[row];
  for (int64_t i = int64_t{blockIdx.y} * kThreads + threadIdx.x; i < vocab; i += int64_t{gridDim.y} * kThreads)
    put(gradient + at + i, factor * expf(logits[at + i] - logZ) - (i == target ? g : 0.0f));
}

/// Computes the f32 logits of rows [first, first + height).
void project(const Call& call, int64_t first, int64_t height, float* logits) {
  const int64_t d = call.dim("d"), vocab = call.dim("vocab");
  const Tensor &hidden = call.in(kHidden), &weight = call.in(kWeight);
  const Matrix rows{static_cast<const unsigned char*>(addressOf(hidden)) + first * d * sizeOf(hidden.dtype),
                    hidden.dtype, d, false};
  Context::current().gemm().run(height, vocab, d, 1.0f, rows, {addressOf(weight), weight.dtype, d, true}, 0.0f, logits,
                                DType::f32, vocab);
}

void forwardCuda(Call& call) {
  const int64_t rows = call.dim("rows"), vocab = call.dim("vocab"), chunk = gpuChunkRows(call);
  if (rows == 0) return;
  Context& context = Context::current();
  FaultWord* fault = nullptr;
  if (!context.areBelow(call.in(kTargets), vocab))
    fault = context.faultWord([text = call.describe(), vocab](int64_t row, int32_t target) {
      return Error("INVALID_TOKEN", text + ": target " + std::to_string(target) + " at row " + std::to_string(row) +
                                        " is not below the " + std::to_string(vocab) + " rows of weight.");
    });
  const Scratch<float> logits(chunk * vocab);
  for (int64_t first = 0; first < rows; first += chunk) {
    const int64_t height = std::min(chunk, rows - first);
    project(call, first, height, logits);
    lossOfRows<<<static_cast<unsigned>(height), kThreads, 0, context.stream()>>>(
        logits, vocab, input<int32_t>(call, kTargets), first, static_cast<float>(call.number("zLoss")),
        output<float>(call, kLoss), output<float>(call, kZTerm), output<float>(call, kLogSumExp), fault);
    launched();
  }
}

template <typename T>
void backwardOf(const Call& call) {
  const int64_t rows = call.dim("rows"), d = call.dim("d"), vocab = call.dim("vocab"), chunk = gpuChunkRows(call);
  const Tensor &gHidden = inputGradient(call, kHidden), &gWeight = inputGradient(call, kWeight);
  const Tensor &hidden = call.in(kHidden), &weight = call.in(kWeight);
  Gemm& gemm = Context::current().gemm();
  if (rows == 0) {
    zeroGradient(call, kWeight);
    return;
  }
  constexpr bool inPlace = std::is_same_v<T, float>;
  const Scratch<float> logits(chunk * vocab);
  const Scratch<T> separate(inPlace ? 0 : chunk * vocab);
  T* gradient = inPlace ? reinterpret_cast<T*>(logits.get()) : separate.get();
  for (int64_t first = 0; first < rows; first += chunk) {
    const int64_t height = std::min(chunk, rows - first);
    project(call, first, height, logits);
    const dim3 grid(static_cast<unsigned>(height),
                    static_cast<unsigned>(std::min<int64_t>(32, (vocab + kThreads - 1) / kThreads)));
    gradientOfRows<<<grid, kThreads, 0, Context::current().stream()>>>(
        logits.get(), vocab, input<int32_t>(call, kTargets), first, static_cast<float>(call.number("zLoss")),
        output<float>(call, kLogSumExp), outputGradient<float>(call, kLoss), outputGradient<float>(call, kZTerm),
        gradient);
    launched();
    Matrix product{gradient, hidden.dtype, vocab, false};
    if (gHidden)
      gemm.run(height, d, vocab, 1.0f, product, {addressOf(weight), weight.dtype, d, false}, call.beta(kHidden),
               static_cast<unsigned char*>(addressOf(gHidden)) + first * d * sizeOf(gHidden.dtype), gHidden.dtype, d);
    product.transposed = true;
    const void* chunkRows = static_cast<const unsigned char*>(addressOf(hidden)) + first * d * sizeOf(hidden.dtype);
    if (gWeight)
      gemm.run(vocab, d, height, 1.0f, product, {chunkRows, hidden.dtype, d, false},
               first == 0 ? call.beta(kWeight) : 1.0f, addressOf(gWeight), gWeight.dtype, d);
  }
}

void backwardCuda(Call& call) {
  byType(call.in(kHidden).dtype, [&](auto type) { backwardOf<decltype(type)>(call); });
}

}  // namespace
}  // namespace cross_entropy

Kernels cuda_cross_entropy() { return {cross_entropy::forwardCuda, cross_entropy::backwardCuda}; }

}  // namespace hint
