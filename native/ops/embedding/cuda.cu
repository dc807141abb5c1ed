#include "native/ops/embedding/embedding.h"
#include "native/runtime/cuda/device.cuh"

namespace hint {
namespace embedding {
namespace {

using namespace cuda;

constexpr int kThreads = 256;

/// One row per block. A row whose id is outside the table is not written, and is reported.
template <typename T, typename Y>
__global__ void __launch_bounds__(kThreads)
    gather(const int32_t* ids, int64_t vocab, int64_t d, const T* table, Y* y, FaultWord* fault) {
  const int64_t row = blockIdx.x;
  const int32_t id = ids[row];
  if (id < 0 || id >= vocab) {
    if (threadIdx.x == 0) reportFault(fault, static_cast<uint32_t>(row), id);
    return;
  }
  for (int64_t i = threadIdx.x; i < d; i += kThreads) put(y + row * d + i, load(table + id * d + i));
}

/// The block of the first row with an id adds up all rows with that id, in their order; the others do nothing. Each
/// round looks at one id per thread and then adds the rows found, a column per thread.
template <typename T, typename G>
__global__ void __launch_bounds__(kThreads)
    scatter(const int32_t* ids, int64_t rows, int64_t vocab, int64_t d, const T* gy, G* table) {
  const int64_t own = blockIdx.x;
  const int32_t id = ids[own];
  if (id < 0 || id >= vocab) return;
  for (int64_t base = 0; base < own; base += kThreads) {
    const int64_t other = base + threadIdx.x;
    if (__syncthreads_or(other < own && ids[other] == id)) return;
  }
  __shared__ int found[kThreads];
  __shared__ int warpCounts[kThreads / 32];
  for (int64_t base = own; base < rows; base += kThreads) {
    const int64_t other = base + threadIdx.x;
    const bool match = other < rows && ids[other] == id;
    const unsigned ballot = __ballot_sync(0xFFFFFFFFu, match);
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    __syncthreads();  // the last round's rows are added
    if (lane == 0) warpCounts[warp] = __popc(ballot);
    __syncthreads();
    int before = 0, count = 0;
    for (int w = 0; w < kThreads / 32; ++w) {
      if (w < warp) before += warpCounts[w];
      count += warpCounts[w];
    }
    if (match) found[before + __popc(ballot & ((1u << lane) - 1))] = threadIdx.x;
    __syncthreads();
    if (count == 0) continue;
    for (int64_t i = threadIdx.x; i < d; i += kThreads) {
      double sum = load(table + id * d + i);
      for (int k = 0; k < count; ++k) sum += load(gy + (base + found[k]) * d + i);
      put(table + id * d + i, static_cast<float>(sum));
    }
  }
}

template <typename T, typename Y>
void forwardOf(const Call& call) {
  const int64_t rows = call.dim("rows"), vocab = call.dim("vocab");
  if (rows == 0) return;
  Context& context = Context::current();
  FaultWord* fault = nullptr;
  if (!context.areBelow(call.in(kIds), vocab))
    fault = context.faultWord([text = call.describe(), vocab](int64_t position, int32_t id) {
      return Error("INVALID_TOKEN", text + ": id " + std::to_string(id) + " at position " + std::to_string(position) +
                                        " is outside the vocabulary of " + std::to_string(vocab) +
                                        " rows; encode the text with this model's tokenizer.");
    });
  gather<<<static_cast<unsigned>(rows), kThreads, 0, context.stream()>>>(
      input<int32_t>(call, kIds), vocab, call.dim("d"), input<T>(call, kTable), output<Y>(call, kY), fault);
  launched();
}

template <typename T>
void backwardOf(const Call& call) {
  const Tensor& gradient = inputGradient(call, kTable);
  if (!gradient) return;
  zeroGradient(call, kTable);
  const T* gy = outputGradient<T>(call, kY);
  const int64_t rows = call.dim("rows");
  if (!gy || rows == 0) return;
  byType(gradient.dtype, [&](auto type) {
    scatter<<<static_cast<unsigned>(rows), kThreads, 0, Context::current().stream()>>>(
        input<int32_t>(call, kIds), rows, call.dim("vocab"), call.dim("d"), gy, dataOf<decltype(type)>(gradient));
    launched();
  });
}

void forwardCuda(Call& call) {
  byType(call.in(kTable).dtype, [&](auto table) {
    byType(call.out(kY).dtype, [&](auto y) { forwardOf<decltype(table), decltype(y)>(call); });
  });
}
void backwardCuda(Call& call) {
  byType(call.gradOutputs[kY] ? call.gradOutputs[kY].dtype : DType::f32,
         [&](auto type) { backwardOf<decltype(type)>(call); });
}

}  // namespace
}  // namespace embedding

Kernels cuda_embedding() { return {embedding::forwardCuda, embedding::backwardCuda}; }

}  // namespace hint
