#include "native/ops/greedy/greedy.h"
#include "native/runtime/cuda/device.cuh"

namespace hint {
namespace greedy {
namespace {

using namespace cuda;

constexpr int kThreads = 512;
constexpr int32_t kNaN = -1;
/// A fault's position when it is the decoding position, not a row, that is wrong.
constexpr uint32_t kPositionFault = 0xFFFFFFFEu;

/// Whether (value, index) comes before (other, otherIndex): larger first, then the smaller index.
__device__ inline bool before(float value, int32_t index, float other, int32_t otherIndex) {
  return value > other || (value == other && index < otherIndex);
}

/// One row per block: index of the first largest logit, kNaN when one is NaN, 0 for finished rows.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    argmaxRows(const T* logits, int64_t vocab, const int32_t* finished, int32_t* chosen) {
  const int64_t row = blockIdx.x;
  if (finished[row]) {
    if (threadIdx.x == 0) chosen[row] = 0;
    return;
  }
  float best = -INFINITY;
  int32_t index = INT32_MAX;
  bool nan = false;
  for (int64_t i = threadIdx.x; i < vocab; i += kThreads) {
    const float x = load(logits + row * vocab + i);
    nan |= x != x;
    if (index == INT32_MAX || x > best) {
      best = x;
      index = static_cast<int32_t>(i);
    }
  }
  const bool anyNaN = __syncthreads_or(nan);
  __shared__ float values[kThreads];
  __shared__ int32_t indices[kThreads];
  values[threadIdx.x] = best;
  indices[threadIdx.x] = index;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half &&
        before(values[threadIdx.x + half], indices[threadIdx.x + half], values[threadIdx.x], indices[threadIdx.x])) {
      values[threadIdx.x] = values[threadIdx.x + half];
      indices[threadIdx.x] = indices[threadIdx.x + half];
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) chosen[row] = anyNaN ? kNaN : indices[0];
}

/// One block: stores the tokens and advances the state; on a fault nothing but the stop flag changes.
__global__ void __launch_bounds__(kThreads)
    advance(const int32_t* chosen, int64_t rows, int64_t capacity, int32_t eos, int32_t* token, int32_t* finished,
            int32_t* tokens, int32_t* position, int32_t* stop, FaultWord* fault) {
  const int32_t at = *position;
  const bool outside = at < 0 || at >= capacity;
  if (outside && threadIdx.x == 0) reportFault(fault, kPositionFault, at);
  bool nan = false;
  for (int64_t row = threadIdx.x; row < rows; row += kThreads)
    if (chosen[row] == kNaN) {
      nan = true;
      if (!outside) reportFault(fault, static_cast<uint32_t>(row), 0);
    }
  if (__syncthreads_or(nan) || outside) {
    if (threadIdx.x == 0) *stop = 1;
    return;
  }
  bool unfinished = false;
  for (int64_t row = threadIdx.x; row < rows; row += kThreads) {
    token[row] = chosen[row];
    tokens[row * capacity + at] = chosen[row];
    if (!finished[row]) finished[row] = chosen[row] == eos;
    unfinished |= !finished[row];
  }
  const bool all = !__syncthreads_or(unfinished);
  if (threadIdx.x > 0) return;
  *position = at + 1;
  *stop = all || at + 1 == capacity;
}

void forwardCuda(Call& call) {
  const int64_t rows = call.dim("rows"), vocab = call.dim("vocab"), capacity = call.dim("capacity");
  Context& context = Context::current();
  FaultWord* fault = context.faultWord([text = call.describe(), capacity](int64_t row, int32_t position) {
    if (row == kPositionFault)
      return Error("INVALID_SHAPE", text + ": position " + std::to_string(position) + " is outside the " +
                                        std::to_string(capacity) +
                                        " columns of tokens; allocate more or stop earlier.");
    return Error("NUMERIC", text + ": the logits of row " + std::to_string(row) +
                                " contain NaN; check the weights and the input.");
  });
  const Scratch<int32_t> chosen(rows);
  if (rows > 0)
    byType(call.in(kLogits).dtype, [&](auto type) {
      argmaxRows<<<static_cast<unsigned>(rows), kThreads, 0, context.stream()>>>(
          input<decltype(type)>(call, kLogits), vocab, input<int32_t>(call, kFinished), chosen.get());
      launched();
    });
  advance<<<1, kThreads, 0, context.stream()>>>(chosen, rows, capacity, static_cast<int32_t>(call.integer("eosId")),
                                                dataOf<int32_t>(call.in(kToken)), dataOf<int32_t>(call.in(kFinished)),
                                                dataOf<int32_t>(call.in(kTokens)), dataOf<int32_t>(call.in(kPosition)),
                                                dataOf<int32_t>(call.in(kStop)), fault);
  launched();
}

}  // namespace
}  // namespace greedy

Kernels cuda_greedy() { return {greedy::forwardCuda, nullptr}; }

}  // namespace hint
