#pragma once

#include "native/runtime/cuda/device.cuh"

/// Whole-tensor sums in double, in the same order in every run.
namespace hint::cuda {
namespace detail {

constexpr int kSumThreads = 256;

template <typename Body>
__global__ void sumPartials(int64_t count, Body body, double* partial) {
  const int64_t step = int64_t{gridDim.x} * kSumThreads;
  double sum = 0;
  for (int64_t i = int64_t{blockIdx.x} * kSumThreads + threadIdx.x; i < count; i += step) sum += body(i);
  sum = blockSum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

template <typename Finish>
__global__ void sumFinish(const double* partial, int parts, Finish finish) {
  double sum = 0;
  for (int i = threadIdx.x; i < parts; i += kSumThreads) sum += partial[i];
  sum = blockSum(sum);
  if (threadIdx.x == 0) finish(sum);
}

}  // namespace detail

/// Whether this block is the last of `blocks` blocks that call this function. The last one may read, with __ldcg, what
/// the others have written. The counter is zero again afterwards. Every thread of the block must call it.
__device__ inline bool isLastBlock(uint32_t* counter, int64_t blocks) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(counter, 1u) == static_cast<uint32_t>(blocks - 1);
    if (last) *counter = 0;
  }
  __syncthreads();
  __threadfence();
  return last;
}

/// finish(sum of body(i) over [0, count)) on one thread. The grid depends on the count alone, so that the result does
/// not depend on the device.
template <typename Body, typename Finish>
void sumAll(int64_t count, Body body, Finish finish) {
  constexpr int64_t kPerBlock = 16 * detail::kSumThreads, kMost = 1024;
  const int64_t wanted = (count + kPerBlock - 1) / kPerBlock;
  const int parts = static_cast<int>(wanted < 1 ? 1 : wanted < kMost ? wanted : kMost);
  Scratch<double> partial(parts);
  cudaStream_t stream = Context::current().stream();
  detail::sumPartials<<<static_cast<unsigned>(parts), detail::kSumThreads, 0, stream>>>(count, body, partial.get());
  launched();
  detail::sumFinish<<<1, detail::kSumThreads, 0, stream>>>(partial.get(), parts, finish);
  launched();
}

}  // namespace hint::cuda
