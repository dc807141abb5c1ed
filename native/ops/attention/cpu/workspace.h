#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "native/core/philox.h"
#include "native/ops/attention/cpu/rows.h"
#include "native/ops/attention/cpu/tile.h"
#include "native/ops/attention/geometry.h"
#include "native/runtime/parallel.h"

namespace hint::attention {

/// Runs body(unit) for every unit, on all threads when `flops` are enough to be worth waking them.
template <typename Body>
void runUnits(int64_t units, double flops, const Body& body) {
  constexpr double worthWaking = 3e5;
  if (flops < worthWaking) {
    for (int64_t unit = 0; unit < units; ++unit) body(unit);
  } else {
    parallelItems(units, body);
  }
}

/// Hands out consecutive pieces of one allocation, each aligned to a cache line.
class Slices {
 public:
  explicit Slices(float* base) : base_(base) {}
  float* take(int64_t floats) {
    float* here = base_ + used_;
    used_ += size(floats);
    return here;
  }
  static int64_t size(int64_t floats) { return padded(floats); }

 private:
  float* base_;
  int64_t used_ = 0;
};

/// The bias of every relative position that occurs, per head: one bucket look-up per position and call instead of one
/// per score.
class RelativeBias {
 public:
  /// Reads bias [buckets, heads] and maxDistance from the call; empty without a bias.
  RelativeBias(const Call& call, const Geometry& geometry);

  bool present() const { return !values_.empty(); }
  /// values[relative] for relative = key - query of any pair in the call.
  const float* head(int64_t head) const { return present() ? values_.data() + head * stride_ + origin_ : nullptr; }
  int64_t stride() const { return stride_; }
  /// Index of relative position 0 in a row of `stride()` positions.
  int64_t origin() const { return origin_; }
  int32_t bucket(int64_t index) const { return buckets_[static_cast<size_t>(index)]; }

 private:
  int64_t origin_ = 0, stride_ = 0;
  std::vector<int32_t> buckets_;
  std::vector<float> values_;
};

/// The segments of keys that a sequence sees, in order.
struct SegmentRows {
  int64_t keys[kMaxSegments];    ///< keys of each
  int64_t row[kMaxSegments];     ///< first row in the segment's own tensors
  int64_t column[kMaxSegments];  ///< first column of scores, a multiple of 16
  int64_t index[kMaxSegments];   ///< index of the first key among all keys of the sequence

  SegmentRows(const Geometry& g, const Sequence& s)
      : keys{g.prefix, g.sharedKeys(s.task), s.keys},
        row{g.prefixRow(s.task), g.sharedBegin[static_cast<size_t>(s.task)], s.kBegin},
        column{0, padded(keys[0]), padded(keys[0]) + padded(keys[1])},
        index{0, keys[0], keys[0] + keys[1]} {}

  /// The part with own keys [begin, end), and with the other segments when begin is 0, so that the tiles of a sequence
  /// cover every key once.
  SegmentRows tile(int64_t begin, int64_t end) const {
    SegmentRows result = *this;
    if (begin > 0) {
      result.keys[0] = result.keys[1] = 0;
      result.column[0] = result.column[1] = result.column[kOwn] = 0;
    }
    result.keys[kOwn] = end - begin;
    result.row[kOwn] += begin;
    result.index[kOwn] += begin;
    return result;
  }
};

/// Columns of prefix and shared segments of any task.
inline int64_t contextColumns(const Geometry& g) { return padded(g.prefix) + padded(g.maxShared); }

inline ScoreBlock scoreBlock(const SegmentRows& segments, const Geometry& g, float* scores, int64_t rowStride,
                             int64_t firstQuery, int64_t rows, const float* bias, const float* mask) {
  ScoreBlock block{scores, rowStride, rows, {}, {}, firstQuery, g.causal, bias, mask};
  std::copy(segments.column, segments.column + kMaxSegments, block.column);
  std::copy(segments.keys, segments.keys + kMaxSegments, block.keys);
  return block;
}

/// Rows of queries per block: as many as keep their scores in the second cache level.
inline int64_t blockRows(int64_t columns, int64_t queries) {
  constexpr int64_t scores = 12 * 1024, step = 12;
  const int64_t rows = std::clamp(scores / std::max<int64_t>(columns, 1) / step * step, step, kMostRows);
  return std::max<int64_t>(1, std::min(rows, queries));
}

/// Queries after which a unit continues with its next head, while the rows of q and o are still in a cache.
constexpr int64_t kChunk = 192;

/// Arrays of each head with a number of floats per key column, one array after the other.
class HeadArrays {
 public:
  /// `floatsPerColumn` of all arrays together; with `reuse` every head has the same memory.
  HeadArrays(int64_t columns, int64_t floatsPerColumn, int64_t heads, bool reuse)
      : columns_(columns),
        stride_(reuse ? 0 : columns * floatsPerColumn),
        floats_(reuse ? columns * floatsPerColumn : heads * stride_) {}
  int64_t floats() const { return floats_; }
  void place(float* base) { base_ = base; }
  /// From `column` on, the array that starts after `before` floats per column and has `perColumn`.
  float* at(int64_t head, int64_t before, int64_t perColumn, int64_t column) const {
    return base_ + head * stride_ + columns_ * before + column * perColumn;
  }

 private:
  int64_t columns_, stride_, floats_;
  float* base_ = nullptr;
};

/// Whether every piece fits one chunk, so that all heads can use the same buffers for own keys in turn.
inline bool oneChunkEach(const Bundle& bundle) {
  return std::all_of(bundle.pieces.begin(), bundle.pieces.end(),
                     [](const Piece& piece) { return piece.end - piece.begin <= kChunk; });
}

/// The dropout factor of every key for one (sequence, head), laid out by column; padding becomes 0. `dense` holds the
/// factors in key order on return.
void fillMask(const Dropout& dropout, uint32_t group, const SegmentRows& segments, float* dense, float* mask);

}  // namespace hint::attention
