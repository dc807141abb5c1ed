#include <algorithm>

#include "native/ops/decode_attention/decode_attention.h"
#include "native/runtime/cuda/buckets.cuh"

namespace hint {
namespace decode_attention {
namespace {

using namespace cuda;

constexpr int kThreads = 128, kWarps = kThreads / 32;

template <typename T>
struct Arguments {
  const T *q, *k, *v;
  T *keyCache, *valueCache;
  const int32_t* position;
  const T *prefixKey, *prefixValue, *bias, *sharedKey, *sharedValue, *contextKey, *contextValue;
  const int32_t *taskIndex, *sharedOffsets, *contextOffsets, *contextIndex;
  Buckets buckets;
  int64_t width, capacity, prefix, slots, slot, mostFixed;  ///< mostFixed: keys in front of the cache, of any row
  int heads, dim;
  T* o;
  FaultWord* fault;
};

/// One row and head per block: stores this token's key and value, scores of all keys into shared memory (a warp per
/// key), softmax, then the weighted sum of values, with a thread per unit of the head and the keys divided among groups
/// of threads.
template <typename T>
__global__ void __launch_bounds__(kThreads) attend(Arguments<T> g) {
  extern __shared__ float memory[];
  const int64_t row = blockIdx.x / g.heads, head = blockIdx.x % g.heads;
  const int64_t position = *g.position;
  if (position < 0 || position >= g.capacity) {
    if (threadIdx.x == 0) reportFault(g.fault, 0, static_cast<int32_t>(position));
    return;
  }
  const int dim = g.dim, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t task = g.taskIndex ? g.taskIndex[row] : 0, context = g.contextIndex ? g.contextIndex[row] : 0;
  // Where the keys of each segment end among all keys: prefix, shared, context, cache.
  const int prefix = static_cast<int>(g.prefix);
  const int64_t sharedBegin = g.sharedKey ? g.sharedOffsets[task] : 0;
  const int shared = prefix + (g.sharedKey ? static_cast<int>(g.sharedOffsets[task + 1] - sharedBegin) : 0);
  const int64_t contextBegin = g.contextKey ? g.contextOffsets[context] : 0;
  const int fixed = shared + (g.contextKey ? static_cast<int>(g.contextOffsets[context + 1] - contextBegin) : 0);
  const int keys = fixed + static_cast<int>(position) + 1;
  const int64_t unit = head * dim, own = row * g.width + unit;
  T *keyCache = g.keyCache + row * g.capacity * g.width + unit, *valueCache = g.valueCache + (keyCache - g.keyCache);
  const int64_t prefixAt = (task * g.slots + g.slot) * g.prefix * g.width + unit;
  float *scores = memory, *query = memory + g.mostFixed + g.capacity, *sums = query + dim;
  const auto rowOf = [&](const T* ofPrefix, const T* ofShared, const T* ofContext, const T* cache, int j) {
    if (j < prefix) return ofPrefix + prefixAt + j * g.width;
    if (j < shared) return ofShared + (sharedBegin + j - prefix) * g.width + unit;
    if (j < fixed) return ofContext + (contextBegin + j - shared) * g.width + unit;
    return cache + (j - fixed) * g.width;
  };

  for (int d = threadIdx.x; d < dim; d += kThreads) {
    query[d] = load(g.q + own + d);
    keyCache[position * g.width + d] = g.k[own + d];
    valueCache[position * g.width + d] = g.v[own + d];
  }
  __syncthreads();
  for (int j = warp; j < keys; j += kWarps) {
    const T* key = rowOf(g.prefixKey, g.sharedKey, g.contextKey, keyCache, j);
    float score = 0;
    for (int d = lane; d < dim; d += 32) score += query[d] * load(key + d);
    score = warpSum(score);
    if (lane > 0) continue;
    if (g.bias && j >= fixed)
      score += load(g.bias + g.buckets.of(j - fixed - static_cast<int>(position)) * g.heads + head);
    scores[j] = score;
  }
  __syncthreads();
  float maximum = -INFINITY;
  for (int j = 0; j < keys; ++j) maximum = fmaxf(maximum, scores[j]);
  __syncthreads();
  float sum = 0;
  for (int j = threadIdx.x; j < keys; j += kThreads) {
    scores[j] = expf(scores[j] - maximum);
    sum += scores[j];
  }
  sum = blockSum(sum);
  // Groups of `dim` threads, as many as fit, each with every groups-th key.
  const int groups = dim <= kThreads ? kThreads / dim : 1, group = threadIdx.x / dim;
  for (int d = dim <= kThreads ? threadIdx.x % dim : threadIdx.x; d < dim; d += kThreads) {
    float total = 0;
    if (dim > kThreads || group < groups)
      for (int j = dim > kThreads ? 0 : group; j < keys; j += groups) {
        total += scores[j] * load(rowOf(g.prefixValue, g.sharedValue, g.contextValue, valueCache, j) + d);
      }
    if (groups == 1) {
      if (dim > kThreads || group == 0) put(g.o + own + d, total / sum);
    } else if (group < groups) {
      sums[group * dim + d] = total;
    }
  }
  if (groups == 1) return;
  __syncthreads();
  for (int d = threadIdx.x; d < dim; d += kThreads) {
    float total = 0;
    for (int other = 0; other < groups; ++other) total += sums[other * dim + d];
    put(g.o + own + d, total / sum);
  }
}

template <typename T>
void forwardOf(const Call& call) {
  const int64_t rows = call.dim("rows"), capacity = call.dim("capacity");
  Context& context = Context::current();
  Arguments<T> g = {};
  g.q = input<T>(call, kQ);
  g.k = input<T>(call, kK);
  g.v = input<T>(call, kV);
  g.keyCache = dataOf<T>(call.in(kKeyCache));
  g.valueCache = dataOf<T>(call.in(kValueCache));
  g.position = input<int32_t>(call, kPosition);
  g.prefixKey = input<T>(call, kPrefixKey);
  g.prefixValue = input<T>(call, kPrefixValue);
  g.bias = input<T>(call, kBias);
  g.sharedKey = input<T>(call, kSharedKey);
  g.sharedValue = input<T>(call, kSharedValue);
  g.contextKey = input<T>(call, kContextKey);
  g.contextValue = input<T>(call, kContextValue);
  g.taskIndex = context.table(call.list("taskIndex"));
  g.sharedOffsets = context.table(call.list("sharedOffsets"));
  g.contextOffsets = context.table(call.list("contextOffsets"));
  g.contextIndex = context.table(call.list("contextIndex"));
  for (int64_t row = 0; row < rows; ++row) g.mostFixed = std::max(g.mostFixed, fixedKeys(call, row));
  if (g.bias) g.buckets = Buckets(call.dim("buckets"), call.integer("maxDistance"), true);
  g.width = call.dim("width");
  g.capacity = capacity;
  g.prefix = g.prefixKey ? call.dim("prefix") : 0;
  g.slots = call.has(kPrefixKey) ? call.dim("slots") : 0;
  g.slot = call.integer("slot");
  g.heads = static_cast<int>(call.integer("numHeads"));
  g.dim = static_cast<int>(g.width / g.heads);
  g.o = output<T>(call, kO);
  if (rows == 0) return;
  g.fault = context.faultWord([text = call.describe(), capacity](int64_t, int32_t position) {
    return Error("INVALID_SHAPE", text + ": position is " + std::to_string(position) + ", but the caches hold " +
                                      std::to_string(capacity) +
                                      " tokens; stop decoding earlier or allocate larger caches.");
  });
  const auto bytes = static_cast<int>((g.mostFixed + capacity + g.dim + std::max(kThreads, g.dim)) * sizeof(float));
  if (bytes > context.sharedMemoryPerBlock())
    fail("NOT_SUPPORTED", call.describe(), ": ", g.mostFixed + capacity, " keys need ", bytes,
         " bytes of shared memory, this device has ", context.sharedMemoryPerBlock(), "; decode fewer tokens.");
  check(cudaFuncSetAttribute(attend<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), "reserve shared memory");
  attend<T><<<static_cast<unsigned>(rows * g.heads), kThreads, static_cast<size_t>(bytes), context.stream()>>>(g);
  launched();
}

void forwardCuda(Call& call) {
  byType(call.in(kQ).dtype, [&](auto type) { forwardOf<decltype(type)>(call); });
}

}  // namespace
}  // namespace decode_attention

Kernels cuda_decode_attention() { return {decode_attention::forwardCuda, nullptr}; }

}  // namespace hint
