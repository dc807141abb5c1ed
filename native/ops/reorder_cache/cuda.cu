#include <string>

#include "native/ops/reorder_cache/reorder_cache.h"
#include "native/runtime/cuda/device.cuh"

namespace hint {
namespace reorder_cache {
namespace {

using namespace cuda;

constexpr int kThreads = 256;
constexpr uint32_t kPositionFault = 0xFFFFFFFEu;
/// Floats of shared memory that every device gives a block.
constexpr int64_t kSharedFloats = 12 * 1024;

/// One block: *filled = floats of each row that hold something, or -1 when parents or position are wrong.
__global__ void __launch_bounds__(kThreads)
    checkState(const int32_t* parents, int64_t rows, int64_t groupSize, const int32_t* position, int64_t capacity,
               int64_t width, int64_t* filled, FaultWord* fault) {
  const int32_t at = *position;
  const bool outside = at < 0 || at > capacity;
  if (outside && threadIdx.x == 0) reportFault(fault, kPositionFault, at);
  bool stray = false;
  for (int64_t row = threadIdx.x; row < rows; row += kThreads)
    if (parents[row] < 0 || parents[row] / groupSize != row / groupSize) {
      stray = true;
      if (!outside) reportFault(fault, static_cast<uint32_t>(row), parents[row]);
    }
  const bool wrong = __syncthreads_or(stray) || outside;
  if (threadIdx.x == 0) *filled = wrong ? -1 : at * width;
}

/// Each block has a group of rows, each thread some columns. A thread copies all sources of a column to shared memory
/// that only it uses before it overwrites the first.
template <typename T>
__global__ void moveRows(T* cache, const int32_t* parents, int64_t groupSize, int64_t rowLength,
                         const int64_t* filled) {
  extern __shared__ float old[];
  const int64_t first = int64_t{blockIdx.x} * groupSize;
  const int64_t step = int64_t{gridDim.y} * blockDim.x;
  for (int64_t column = int64_t{blockIdx.y} * blockDim.x + threadIdx.x; column < *filled; column += step) {
    T* at = cache + first * rowLength + column;
    for (int64_t i = 0; i < groupSize; ++i)
      if (parents[first + i] != first + i)
        old[i * blockDim.x + threadIdx.x] = load(at + (parents[first + i] - first) * rowLength);
    for (int64_t i = 0; i < groupSize; ++i)
      if (parents[first + i] != first + i) put(at + i * rowLength, old[i * blockDim.x + threadIdx.x]);
  }
}

void forwardCuda(Call& call) {
  const int64_t rows = call.dim("rows"), capacity = call.dim("capacity"), width = call.dim("width");
  const int64_t groupSize = call.integer("groupSize");
  Context& context = Context::current();
  FaultWord* fault = context.faultWord([text = call.describe(), groupSize, capacity](int64_t row, int32_t value) {
    if (row == kPositionFault)
      return Error("INVALID_SHAPE", text + ": position is " + std::to_string(value) + ", but the cache holds " +
                                        std::to_string(capacity) + " tokens.");
    return Error("INVALID_ARGUMENT", text + ": parents[" + std::to_string(row) + "] is " + std::to_string(value) +
                                         ", which is not in the row's group of " + std::to_string(groupSize) + ".");
  });
  const Scratch<int64_t> filled(1);
  const auto* parents = input<int32_t>(call, kParents);
  checkState<<<1, kThreads, 0, context.stream()>>>(parents, rows, groupSize, input<int32_t>(call, kPosition), capacity,
                                                   width, filled.get(), fault);
  launched();
  int64_t threads = kThreads;
  while (threads > 32 && threads * groupSize > kSharedFloats) threads /= 2;
  if (threads * groupSize > kSharedFloats)
    fail("NOT_SUPPORTED", call.describe(), ": on CUDA groupSize is at most ", kSharedFloats / threads,
         "; use fewer beams.");
  const int64_t columns = capacity * width;
  if (rows == 0 || columns == 0) return;
  const dim3 grid(static_cast<unsigned>(rows / groupSize),
                  static_cast<unsigned>(min(int64_t{1024}, (columns + threads - 1) / threads)));
  byType(call.in(kCache).dtype, [&](auto type) {
    moveRows<decltype(type)>
        <<<grid, static_cast<unsigned>(threads), static_cast<size_t>(threads * groupSize) * sizeof(float),
           context.stream()>>>(dataOf<decltype(type)>(call.in(kCache)), parents, groupSize, columns, filled.get());
    launched();
  });
}

}  // namespace
}  // namespace reorder_cache

Kernels cuda_reorder_cache() { return {reorder_cache::forwardCuda, nullptr}; }

}  // namespace hint
