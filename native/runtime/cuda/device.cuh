#pragma once

#include <cuda_bf16.h>

#include <cstdint>
#include <type_traits>

#include "native/core/philox.h"
#include "native/runtime/cuda/context.h"

/// Building blocks of kernels: storage types, launches over elements, reductions inside a block, dropout.
namespace hint::cuda {

using bf16 = __nv_bfloat16;

__device__ inline float load(const float* p) { return *p; }
__device__ inline float load(const bf16* p) { return __bfloat162float(*p); }
__device__ inline void put(float* p, float value) { *p = value; }
__device__ inline void put(bf16* p, float value) { *p = __float2bfloat16(value); }
/// *p = beta * *p + value; beta 0 never reads.
template <typename T>
__device__ inline void store(T* p, float beta, float value) {
  put(p, beta == 0.0f ? value : beta * load(p) + value);
}

/// Number of blocks of `threads` threads for `count` elements. It is limited to what fills the device several times;
/// kernels loop over the remaining elements.
inline unsigned gridOf(int64_t count, int threads) {
  const int64_t blocks = (count + threads - 1) / threads, most = int64_t{Context::current().multiprocessors()} * 16;
  return static_cast<unsigned>(blocks < most ? (blocks > 0 ? blocks : 1) : most);
}

/// The size of a grid along y or z, where it has at most 65,535 blocks. Throws NOT_SUPPORTED beyond, naming `what`.
inline unsigned blocksAcross(int64_t count, const char* what) {
  if (count > 65535) fail("NOT_SUPPORTED", count, " ", what, " are more than the 65535 that CUDA takes in one launch.");
  return static_cast<unsigned>(count);
}

namespace detail {
template <typename Body>
__global__ void eachKernel(int64_t count, Body body) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  // Four independent elements at a time keep enough loads in flight.
  for (; i + 3 * step < count; i += 4 * step) {
    body(i);
    body(i + step);
    body(i + 2 * step);
    body(i + 3 * step);
  }
  for (; i < count; i += step) body(i);
}
}  // namespace detail

/// Runs body(i) for i in [0, count), each on a thread of its own.
template <typename Body>
void each(int64_t count, Body body) {
  if (count == 0) return;
  constexpr int kThreads = 256;
  detail::eachKernel<<<gridOf(count, kThreads), kThreads, 0, Context::current().stream()>>>(count, body);
  launched();
}

/// Sum over the block, in all threads, always in the same order. Every thread must call it; blockDim.x is a multiple
/// of 32, at most 1024. Two calls in a row need no barrier between them.
template <typename T>
__device__ T blockSum(T value) {
  __shared__ T partial[32];
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(0xFFFFFFFFu, value, offset);
  const int warps = blockDim.x / 32;
  __syncthreads();
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  T total = 0;
  for (int w = 0; w < warps; ++w) total += partial[w];
  return total;
}

__device__ inline float warpSum(float value) {
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(0xFFFFFFFFu, value, offset);
  return value;
}

/// Index of the group of `row` among ragged offsets [groups + 1]: the last that starts at or before it.
__device__ inline int groupOf(const int32_t* offsets, int groups, int64_t row) {
  int low = 0, high = groups;  // offsets[low] <= row < offsets[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (offsets[middle] <= row)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/// A dropout mask as kernels draw it: the same numbers as hint::Dropout.
struct Mask {
  uint64_t seed = 0;
  uint32_t site = 0, threshold = 0;
  float kept = 1.0f;
  bool active = false;

  Mask() = default;
  explicit Mask(const Dropout& dropout)
      : seed(dropout.seed),
        site(dropout.site),
        threshold(dropout.threshold()),
        kept(1.0f / (1.0f - dropout.rate)),
        active(dropout.active()) {}
  __device__ float scale(uint32_t group, uint32_t unit) const {
    const Philox random = Philox::at(seed, (uint64_t{group} << 32) | (unit >> 2), site);
    return random.word[unit & 3] >= threshold ? kept : 0.0f;
  }
  /// The factors of units unit..unit+3, `unit` a multiple of 4.
  __device__ void quad(uint32_t group, uint32_t unit, float* factors) const {
    const Philox random = Philox::at(seed, (uint64_t{group} << 32) | (unit >> 2), site);
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) factors[lane] = random.word[lane] >= threshold ? kept : 0.0f;
  }
};

/// The mask of rows that drop alike within a sequence: group = sequence, or row when there are no offsets.
struct RowMask {
  Mask mask;
  const int32_t* offsets = nullptr;
  int sequences = 0;

  RowMask() = default;
  /// Reads the dropout attributes and `seqOffsets` of a call.
  explicit RowMask(const Call& call) : mask(call.dropout()) {
    const IntList& list = call.list("seqOffsets");
    if (!mask.active || list.empty()) return;
    offsets = Context::current().table(list);
    sequences = static_cast<int>(list.size()) - 1;
  }
  __device__ uint32_t group(int64_t row) const {
    return static_cast<uint32_t>(offsets ? groupOf(offsets, sequences, row) : row);
  }
};

/// Runs body(T{}) with the storage type of `dtype`, f32 or bf16.
template <typename Body>
void byType(DType dtype, Body body) {
  if (dtype == DType::f32)
    body(float{});
  else if (dtype == DType::bf16)
    body(bf16{});
  else
    fail("INVALID_ARGUMENT", "A kernel was given ", nameOf(dtype), "; it computes on f32 and bf16.");
}

/// Elements of a tensor, nullptr without a buffer.
template <typename T>
T* dataOf(const Tensor& tensor) {
  return tensor ? static_cast<T*>(addressOf(tensor)) : nullptr;
}
template <typename T>
const T* input(const Call& call, int i) {
  return call.has(i) ? dataOf<const T>(call.in(i)) : nullptr;
}
template <typename T>
T* output(const Call& call, int i) {
  return call.hasOut(i) ? dataOf<T>(call.out(i)) : nullptr;
}
template <typename T>
const T* outputGradient(const Call& call, int i) {
  return dataOf<const T>(call.gradOutputs[static_cast<size_t>(i)]);
}
inline const Tensor& inputGradient(const Call& call, int i) { return call.gradInputs[static_cast<size_t>(i)]; }

/// Sets a gradient that has no contribution to zero when its beta is 0; with a beta of 1 it stays as it is.
inline void zeroGradient(const Call& call, int input) {
  const Tensor& gradient = call.gradInputs[static_cast<size_t>(input)];
  if (gradient && call.beta(input) == 0.0f && gradient.bytes() > 0)
    check(cudaMemsetAsync(addressOf(gradient), 0, gradient.bytes(), Context::current().stream()), "zero a gradient");
}

}  // namespace hint::cuda
