#include <algorithm>

#include "native/ops/attention/cuda/rows.cuh"
#include "native/runtime/cuda/shared_memory.h"

namespace hint::attention::rows {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / 32;

/// One row and head per block: stores this token's key and value, scores of all keys into shared memory (a warp per
/// key), softmax, then the weighted sum of values, with a thread per unit of the head and the keys divided among groups
/// of threads. Segments that another kernel has read are joined by the maxima and sums of their parts.
template <typename T>
__global__ void __launch_bounds__(kThreads) attend(RowArguments<T> g) {
  extern __shared__ float memory[];
  const int64_t row = blockIdx.x / g.heads, head = blockIdx.x % g.heads;
  const int64_t position = g.position ? *g.position : -1;
  if (g.position && (position < 0 || position >= g.capacity)) {
    if (threadIdx.x == 0) reportFault(g.fault, 0, static_cast<int32_t>(position));
    return;
  }
  const int dim = g.dim, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t task = g.taskIndex ? g.taskIndex[row] : 0, context = g.contextIndex ? g.contextIndex[row] : 0;
  // The end of each segment among all keys: prefix, shared, context, cache.
  const int prefix = static_cast<int>(g.prefix);
  const int64_t sharedBegin = g.sharedKey ? g.sharedOffsets[task] : 0;
  const int sharedKeys = g.sharedKey ? static_cast<int>(g.sharedOffsets[task + 1] - sharedBegin) : 0;
  const int64_t contextBegin = g.contextKey ? g.contextOffsets[context] : 0;
  const int contextKeys = g.contextKey ? static_cast<int>(g.contextOffsets[context + 1] - contextBegin) : 0;
  const int shared = prefix + (g.parts.ofShared ? 0 : sharedKeys);
  const int fixed = shared + (g.parts.ofContext ? 0 : contextKeys);
  const int keys = fixed + static_cast<int>(position) + 1;
  const int64_t unit = head * dim, own = row * g.width + unit;
  T *keyCache = nullptr, *valueCache = nullptr;
  const int64_t prefixAt = (task * g.slots + g.slot) * g.prefix * g.width + unit;
  float *scores = memory, *query = memory + g.mostFixed + g.capacity, *sums = query + dim;
  const auto rowOf = [&](const T* ofPrefix, const T* ofShared, const T* ofContext, const T* cache, int j) {
    if (j < prefix) return ofPrefix + prefixAt + j * g.width;
    if (j < shared) return ofShared + (sharedBegin + j - prefix) * g.width + unit;
    if (j < fixed) return ofContext + (contextBegin + j - shared) * g.width + unit;
    return cache + (j - fixed) * g.width;
  };

  for (int d = threadIdx.x; d < dim; d += kThreads) query[d] = load(g.q + own + d);
  if (g.position) {
    keyCache = g.keyCache + row * g.capacity * g.width + unit;
    valueCache = g.valueCache + (keyCache - g.keyCache);
    for (int d = threadIdx.x; d < dim; d += kThreads) {
      keyCache[position * g.width + d] = g.k[own + d];
      valueCache[position * g.width + d] = g.v[own + d];
    }
  }
  __syncthreads();
  // Four keys at a time, so that their loads overlap.
  for (int base = warp; base < keys; base += 4 * kWarps) {
    const T* key[4];
    float score[4] = {};
#pragma unroll
    for (int i = 0; i < 4; ++i)
      key[i] = rowOf(g.prefixKey, g.sharedKey, g.contextKey, keyCache, min(base + i * kWarps, keys - 1));
    for (int d = lane; d < dim; d += 32)
#pragma unroll
      for (int i = 0; i < 4; ++i) score[i] += query[d] * load(key[i] + d);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int j = base + i * kWarps;
      score[i] = warpSum(score[i]);
      if (lane > 0 || j >= keys) continue;
      if (g.bias && j >= fixed)
        score[i] += load(g.bias + g.buckets.of(j - fixed - static_cast<int>(position)) * g.heads + head);
      scores[j] = score[i];
    }
  }
  __syncthreads();
  const int64_t part0 = g.parts.rowBegin ? g.parts.rowBegin[row] : 0;
  const int parts =
      (g.parts.ofShared ? KeyParts::count(sharedKeys) : 0) + (g.parts.ofContext ? KeyParts::count(contextKeys) : 0);
  const auto partOf = [&](int part) { return (part0 + part) * g.heads + head; };
  float maximum = -INFINITY;
  for (int j = 0; j < keys; ++j) maximum = fmaxf(maximum, scores[j]);
  for (int part = 0; part < parts; ++part) maximum = fmaxf(maximum, g.parts.statistics[partOf(part)].x);
  __syncthreads();
  float sum = 0;
  for (int j = threadIdx.x; j < keys; j += kThreads) {
    scores[j] = expf(scores[j] - maximum);
    sum += scores[j];
  }
  sum = blockSum(sum);
  for (int part = 0; part < parts; ++part) {
    const float2 statistic = g.parts.statistics[partOf(part)];
    sum += statistic.y * expf(statistic.x - maximum);
  }
  if (g.logSumExp && threadIdx.x == 0) g.logSumExp[blockIdx.x] = maximum + logf(sum);
  const auto finish = [&](int d, float total) {
    for (int part = 0; part < parts; ++part)
      total += g.parts.sums[partOf(part) * dim + d] * expf(g.parts.statistics[partOf(part)].x - maximum);
    put(g.o + own + d, total / sum);
  };
  // As many groups of `dim` threads as fit; each group has every groups-th key.
  const int groups = dim <= kThreads ? kThreads / dim : 1, group = threadIdx.x / dim;
  for (int d = dim <= kThreads ? threadIdx.x % dim : threadIdx.x; d < dim; d += kThreads) {
    float total = 0;
    if (dim > kThreads || group < groups)
#pragma unroll 4
      for (int j = dim > kThreads ? 0 : group; j < keys; j += groups) {
        total += scores[j] * load(rowOf(g.prefixValue, g.sharedValue, g.contextValue, valueCache, j) + d);
      }
    if (groups == 1) {
      if (dim > kThreads || group == 0) finish(d, total);
    } else if (group < groups) {
      sums[group * dim + d] = total;
    }
  }
  if (groups == 1) return;
  __syncthreads();
  for (int d = threadIdx.x; d < dim; d += kThreads) {
    float total = 0;
    for (int other = 0; other < groups; ++other) total += sums[other * dim + d];
    finish(d, total);
  }
}

/// Keys of the longest row before its cache, without the segments that another kernel reads.
template <typename T>
int64_t mostKeys(const RowArguments<T>& g, const RowLists& lists, const SegmentPass<T>& apart) {
  const auto length = [](const IntList& offsets, const IntList& index, int64_t row) {
    const auto at = static_cast<size_t>(index.empty() ? 0 : index[static_cast<size_t>(row)]);
    return int64_t{offsets[at + 1]} - offsets[at];
  };
  int64_t most = 0;
  for (int64_t row = 0; row < lists.rows; ++row) {
    int64_t keys = g.prefix;
    if (g.sharedKey && !apart.ofShared()) keys += length(lists.sharedOffsets, lists.taskIndex, row);
    if (g.contextKey && !apart.ofContext()) keys += length(lists.contextOffsets, lists.contextIndex, row);
    most = std::max(most, keys);
  }
  return most;
}

}  // namespace

template <typename T>
void attendRows(const Call& call, RowArguments<T> g, const RowLists& lists) {
  if (lists.rows == 0) return;
  Context& context = Context::current();
  g.taskIndex = context.table(lists.taskIndex);
  g.sharedOffsets = context.table(lists.sharedOffsets);
  g.contextOffsets = context.table(lists.contextOffsets);
  g.contextIndex = context.table(lists.contextIndex);
  SegmentPass<T> apart(g, lists);
  g.mostFixed = mostKeys(g, lists, apart);
  const int64_t bytes = (g.mostFixed + g.capacity + g.dim + std::max(kThreads, g.dim)) * int64_t{sizeof(float)};
  if (const int64_t most = mostSharedMemory(attend<T>); bytes > most)
    fail("NOT_SUPPORTED", call.describe(), ": ", g.mostFixed + g.capacity, " keys need ", bytes,
         " bytes of shared memory, this device has ", most, "; decode fewer tokens.");
  if (apart.ofShared() || apart.ofContext()) g.parts = apart.run(g);
  const auto blocks = static_cast<unsigned>(lists.rows * g.heads);
  attend<T><<<blocks, kThreads, static_cast<size_t>(bytes), context.stream()>>>(g);
  launched();
}

template void attendRows<float>(const Call&, RowArguments<float>, const RowLists&);
template void attendRows<bf16>(const Call&, RowArguments<bf16>, const RowLists&);

}  // namespace hint::attention::rows
