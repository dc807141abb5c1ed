#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hint {

/// T5's relative-position buckets: near distances have a bucket each, farther ones share logarithmically growing ones
/// up to `maxDistance`, beyond which all share the last. Bidirectional attention keeps one half of the buckets for keys
/// after the query; causal attention has no such keys and uses all buckets for the past.
class RelativeBuckets {
 public:
  /// The limit of maxDistance: each distance takes an entry of a table.
  static constexpr int64_t kMostDistance = 1 << 20;
  /// `buckets` at least 2 (causal) or 4 (bidirectional), `maxDistance` larger than the distances with a bucket each
  /// (half of the magnitudes) and at most kMostDistance; otherwise throws INVALID_ARGUMENT naming the values.
  RelativeBuckets(int64_t buckets, int64_t maxDistance, bool causal);

  /// The bucket of relative = key index - query index.
  int32_t of(int64_t relative) const {
    const int64_t distance = relative < 0 ? -relative : causal_ ? 0 : relative;
    const int64_t last = static_cast<int64_t>(magnitudes_.size()) - 1;
    return magnitudes_[static_cast<size_t>(distance < last ? distance : last)] + (relative > 0 ? ahead_ : 0);
  }

 private:
  bool causal_;
  int32_t ahead_;                    ///< added for keys after the query
  std::vector<int32_t> magnitudes_;  ///< bucket by distance; the last entry holds for everything beyond
};

/// The buckets for these arguments, computed once per process, because a model uses the same one or two in every layer
/// of every step. Thread-safe; throws what the constructor throws.
const RelativeBuckets& relativeBuckets(int64_t buckets, int64_t maxDistance, bool causal);

}  // namespace hint
