#include <algorithm>

#include "native/ops/attention/cuda/rows.cuh"
#include "native/runtime/cuda/shared_memory.h"

namespace hint::attention::rows {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / 32, kKeys = KeyParts::kKeys, kRowsPerItem = 64;

/// Keys [first, first + keys) of the shared or the context tensor, part `part` of each of the rows order[begin..end).
struct Item {
  int32_t first, keys, part, begin, end, ofContext;
};

/// The segments that rows read of one tensor.
struct Ragged {
  const IntList &offsets, &index;

  size_t of(int32_t row) const { return static_cast<size_t>(index.empty() ? 0 : index[static_cast<size_t>(row)]); }
  int32_t begin(int32_t row) const { return offsets[of(row)]; }
  int32_t keys(int32_t row) const { return offsets[of(row) + 1] - offsets[of(row)]; }

  /// Whether a separate kernel is worth it. Below two parts, or below four rows per key on a busy device, its partial
  /// sums cost more than reading the segment again from L2.
  bool worthwhile(int64_t rows, bool idle) const {
    std::vector<bool> seen(offsets.size(), false);
    int64_t distinct = 0, read = 0, longest = 0;
    for (int32_t row = 0; row < rows; ++row) {
      read += keys(row);
      if (!seen[of(row)]) distinct += keys(row);
      seen[of(row)] = true;
      longest = std::max<int64_t>(longest, keys(row));
    }
    return longest >= 2 * kKeys && (idle || read >= 4 * distinct);
  }
};

/// One item of one head per block. Keys and values stay in shared memory for all rows; each row has a warp, and each
/// key a lane.
template <typename T>
__global__ void __launch_bounds__(kThreads) segmentPart(RowArguments<T> g, const Item* items, const int32_t* order,
                                                        const int32_t* rowBegin, float2* statistics, float* sums) {
  extern __shared__ float memory[];
  const Item item = items[blockIdx.x];
  const int head = blockIdx.y, dim = g.dim, stride = dim + 1, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float *keys = memory, *values = keys + kKeys * stride, *query = values + kKeys * stride + warp * dim;
  const T *fromKey = item.ofContext ? g.contextKey : g.sharedKey,
          *fromValue = item.ofContext ? g.contextValue : g.sharedValue;
  for (int i = threadIdx.x; i < item.keys * dim; i += kThreads) {
    const int64_t at = (item.first + i / dim) * g.width + int64_t{head} * dim + i % dim;
    keys[i / dim * stride + i % dim] = load(fromKey + at);
    values[i / dim * stride + i % dim] = load(fromValue + at);
  }
  __syncthreads();
  for (int i = item.begin + warp; i < item.end; i += kWarps) {
    const int64_t row = order[i], part = (int64_t{rowBegin[row]} + item.part) * g.heads + head;
    __syncwarp();
    for (int d = lane; d < dim; d += 32) query[d] = load(g.q + row * g.width + int64_t{head} * dim + d);
    __syncwarp();
    float score = -INFINITY;
    if (lane < item.keys) {
      score = 0;
      for (int d = 0; d < dim; ++d) score += query[d] * keys[lane * stride + d];
    }
    float maximum = score;
    for (int offset = 16; offset > 0; offset /= 2)
      maximum = fmaxf(maximum, __shfl_xor_sync(0xFFFFFFFFu, maximum, offset));
    const float p = expf(score - maximum), sum = warpSum(p);
    if (lane == 0) statistics[part] = make_float2(maximum, sum);
    for (int d = lane; d - lane < dim; d += 32) {
      float total = 0;
      for (int j = 0; j < item.keys; ++j) {
        const float weight = __shfl_sync(0xFFFFFFFFu, p, j);
        if (d < dim) total += weight * values[j * stride + d];
      }
      if (d < dim) sums[part * dim + d] = total;
    }
  }
}

}  // namespace

template <typename T>
SegmentPass<T>::SegmentPass(const RowArguments<T>& g, const RowLists& lists) {
  if (lists.rows == 0) return;
  const Ragged shared{lists.sharedOffsets, lists.taskIndex}, context{lists.contextOffsets, lists.contextIndex};
  const bool idle = lists.rows * g.heads < 2 * int64_t{Context::current().multiprocessors()};
  ofShared_ = g.sharedKey && shared.worthwhile(lists.rows, idle);
  ofContext_ = g.contextKey && context.worthwhile(lists.rows, idle);
  if (!ofShared_ && !ofContext_) return;
  IntList contextPart;  // for each row, the index of its context's first part
  for (int32_t row = 0; row < lists.rows; ++row) {
    rowBegin_.push_back(static_cast<int32_t>(parts_));
    contextPart.push_back(ofShared_ ? KeyParts::count(shared.keys(row)) : 0);
    parts_ += contextPart.back() + (ofContext_ ? KeyParts::count(context.keys(row)) : 0);
  }
  const auto add = [&](const Ragged& segments, bool ofContext) {
    const auto begin = static_cast<int32_t>(order_.size());
    for (int32_t row = 0; row < lists.rows; ++row) order_.push_back(row);
    std::stable_sort(order_.begin() + begin, order_.end(),
                     [&](int32_t a, int32_t b) { return segments.of(a) < segments.of(b); });
    const auto end = static_cast<int32_t>(order_.size());
    for (int32_t from = begin, to; from < end; from = to) {
      const int32_t row = order_[static_cast<size_t>(from)];
      // A run of rows that read the same segment. Their parts begin at the same index, because rows with the same
      // context have the same shared segment.
      for (to = from; to < end && to < from + kRowsPerItem; ++to) {
        const int32_t other = order_[static_cast<size_t>(to)];
        if (segments.of(other) != segments.of(row)) break;
        if (ofContext && contextPart[static_cast<size_t>(other)] != contextPart[static_cast<size_t>(row)]) break;
      }
      const int32_t part = ofContext ? contextPart[static_cast<size_t>(row)] : 0, keys = segments.keys(row);
      for (int32_t key = 0; key < keys; key += kKeys)
        items_.insert(items_.end(), {segments.begin(row) + key, std::min(kKeys, keys - key), part + key / kKeys, from,
                                     to, ofContext ? 1 : 0});
    }
  };
  if (ofShared_) add(shared, false);
  if (ofContext_) add(context, true);
}

template <typename T>
KeyParts SegmentPass<T>::run(const RowArguments<T>& g) {
  Context& context = Context::current();
  statistics_ = context.scratch(static_cast<size_t>(parts_ * g.heads) * sizeof(float2));
  sums_ = context.scratch(static_cast<size_t>(parts_ * g.heads * g.dim) * sizeof(float));
  auto* statistics = static_cast<float2*>(statistics_->data());
  auto* sums = static_cast<float*>(sums_->data());
  const int64_t bytes = (2 * kKeys * (int64_t{g.dim} + 1) + kWarps * int64_t{g.dim}) * sizeof(float);
  const auto* items = reinterpret_cast<const Item*>(context.table(items_));
  const int32_t *order = context.table(order_), *rowBegin = context.table(rowBegin_);
  const dim3 grid(static_cast<unsigned>(items_.size() / 6), blocksAcross(g.heads, "heads"));
  segmentPart<T><<<grid, kThreads, sharedMemory(segmentPart<T>, bytes, "use narrower heads"), context.stream()>>>(
      g, items, order, rowBegin, statistics, sums);
  launched();
  return {rowBegin, statistics, sums, ofShared_, ofContext_};
}

template class SegmentPass<float>;
template class SegmentPass<bf16>;

}  // namespace hint::attention::rows
