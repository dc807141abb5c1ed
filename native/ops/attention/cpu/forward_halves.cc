#include "native/ops/attention/cpu/forward_halves.h"

#include <algorithm>

#include "native/math/bf16.h"
#include "native/math/dot_kernel.h"
#include "native/math/dot_packing.h"
#include "native/runtime/scratch.h"

namespace hint::attention {
namespace {

constexpr int64_t kColumns = DotPanels::kColumns;

constexpr int64_t inPanels(int64_t columns) { return (columns + kColumns - 1) / kColumns * kColumns; }

/// Columns of scores up to which a block has as many rows as a kernel multiplies at a time; else half as many.
constexpr int64_t kColumnsOfWholeBlocks = 4096;

/// Floats that take `bytes`.
constexpr int64_t floatsOf(int64_t bytes) { return bytes / 4; }

DotPanels keyPanels(int64_t dim) { return {dim, DType::bf16}; }
DotPanels valuePanels(int64_t keys) { return {keys, DType::bf16}; }

/// Keys and values of one segment and head as kernels read them.
struct Segment {
  char *keys = nullptr, *values = nullptr;

  static int64_t floats(int64_t keys, int64_t dim) {
    return floatsOf(keyPanels(dim).bytes(keys) + valuePanels(keys).bytes(dim));
  }
  Segment() = default;
  Segment(float* at, int64_t count, int64_t dim)
      : keys(reinterpret_cast<char*>(at)), values(keys + keyPanels(dim).bytes(count)) {}

  void pack(const uint16_t* k, const uint16_t* v, int64_t count, int64_t stride, int64_t dim) const {
    arrangePanels({k, true, stride}, keyPanels(dim), count, 0, inPanels(count), keys);
    arrangePanels({v, false, stride}, valuePanels(count), dim, 0, inPanels(dim), values);
  }
};

/// Columns of the scores of a sequence: each segment's begin a panel.
SegmentRows columnsOf(const Geometry& g, const Sequence& s) {
  SegmentRows segments(g, s);
  int64_t column = 0;
  for (int i = 0; i < kMaxSegments; ++i) {
    segments.column[i] = column;
    column += inPanels(segments.keys[i]);
  }
  return segments;
}

/// The buffers of a unit.
struct Buffers {
  int64_t dim, wide, columns, block, queryBytes, weightBytes;
  int64_t contextFloats, ownFloats;
  Scratch scratch;
  float *context, *own, *scores, *result, *part, *inverse, *logs, *mask, *dense;
  char *queries, *weights;

  Buffers(const Geometry& g, int64_t heads, bool dropout)
      : dim(g.headDim),
        wide(inPanels(dim)),
        columns(inPanels(g.prefix) + inPanels(g.maxShared) + inPanels(g.maxKeys)),
        block(columns <= kColumnsOfWholeBlocks ? dotRows(DType::bf16) : kDotRowsRead),
        queryBytes(dotRowBytes(keyPanels(dim).steps())),
        weightBytes(dotRowBytes(valuePanels(columns).steps())),
        contextFloats(Segment::floats(g.prefix, dim) + Segment::floats(g.maxShared, dim)),
        ownFloats(Segment::floats(g.maxKeys, dim)),
        scratch(heads * contextFloats + ownFloats + block * (columns + 2 * wide) +
                floatsOf(block * (queryBytes + weightBytes)) + 2 * Slices::size(block) +
                (dropout ? 2 * Slices::size(columns) : 0)) {
    // Each is a multiple of a cache line, but for the last ones.
    Slices slices(scratch);
    context = slices.take(heads * contextFloats);
    own = slices.take(ownFloats);
    scores = slices.take(block * columns);
    result = slices.take(block * wide);
    part = slices.take(block * wide);
    queries = reinterpret_cast<char*>(slices.take(floatsOf(block * queryBytes)));
    weights = reinterpret_cast<char*>(slices.take(floatsOf(block * weightBytes)));
    inverse = slices.take(block);
    logs = slices.take(block);
    mask = dropout ? slices.take(columns) : nullptr;
    dense = dropout ? slices.take(columns) : nullptr;
  }
};

/// Attends the queries of one sequence and head.
class HeadOfSequence {
 public:
  HeadOfSequence(const HalvesCall& call, const Buffers& buffers, const SegmentRows& segments, const Segment* packed,
                 const Sequence& sequence, int64_t head)
      : call_(call), b_(buffers), segments_(segments), packed_(packed), s_(sequence), head_(head) {}

  /// `count` queries from `first` on.
  void attend(int64_t first, int64_t count) const {
    const Geometry& g = call_.geometry;
    ScoreBlock block = scoreBlock(segments_, g, b_.scores, b_.columns, first, count, call_.bias.head(head_), b_.mask);
    block.multiple = kColumns;
    multiplyKeys(block, queries(call_.q + (s_.qBegin + first) * g.width + head_ * b_.dim, count));
    softmaxRows(block, b_.inverse, b_.logs);
    multiplyValues(block);
    const int64_t row = s_.oBegin + first;
    for (int64_t r = 0; r < count; ++r) {
      float* sums = b_.result + r * b_.wide;
      for (int64_t d = 0; d < b_.dim; ++d) sums[d] *= b_.inverse[r];
      roundToBf16(sums, call_.o + (row + r) * g.width + head_ * b_.dim, b_.dim);
      if (call_.logSumExp) call_.logSumExp[(row + r) * g.heads + head_] = b_.logs[r];
    }
  }

 private:
  /// As kernels read them: where they are, if they are whole steps and no rows behind them are read.
  DotRows queries(const uint16_t* q, int64_t count) const {
    const int64_t width = call_.geometry.width;
    if (count % kDotRowsRead == 0 && b_.dim % keyPanels(b_.dim).step() == 0)
      return {q, width * static_cast<int64_t>(sizeof(*q)), count};
    arrangeRows({q, true, width}, DType::bf16, 0, count, b_.dim, b_.queries);
    return {b_.queries, b_.queryBytes, count};
  }

  void multiplyKeys(const ScoreBlock& block, const DotRows& queries) const {
    const DotPanels panels = keyPanels(b_.dim);
    const DotKernel kernel(panels);
    for (int i = 0; i < kMaxSegments; ++i)
      for (int64_t column = 0; column < block.used(i); column += kColumns)
        kernel.multiply(queries, packed_[i].keys + column / kColumns * panels.panelBytes(),
                        b_.scores + block.column[i] + column, b_.columns);
  }

  void multiplyValues(const ScoreBlock& block) const {
    for (int64_t r = 0; r < block.rows; ++r)
      roundToBf16(b_.scores + r * b_.columns, reinterpret_cast<uint16_t*>(b_.weights + r * b_.weightBytes),
                  block.column[kOwn] + inPanels(block.used(kOwn)));
    bool isFirst = true;
    for (int i = 0; i < kMaxSegments; ++i) {
      if (block.used(i) == 0) continue;
      const int64_t panelBytes = valuePanels(block.keys[i]).panelBytes();
      const DotKernel kernel(valuePanels(block.used(i)));
      const DotRows weights{b_.weights + block.column[i] * static_cast<int64_t>(sizeof(uint16_t)), b_.weightBytes,
                            block.rows};
      float* sums = isFirst ? b_.result : b_.part;
      for (int64_t column = 0; column < b_.wide; column += kColumns)
        kernel.multiply(weights, packed_[i].values + column / kColumns * panelBytes, sums + column, b_.wide);
      for (int64_t at = 0; !isFirst && at < block.rows * b_.wide; ++at) b_.result[at] += b_.part[at];
      isFirst = false;
    }
  }

  const HalvesCall& call_;
  const Buffers& b_;
  const SegmentRows& segments_;
  const Segment* packed_;
  const Sequence& s_;
  int64_t head_;
};

}  // namespace

void attendHalves(const HalvesCall& call, const Bundle& bundle, int64_t firstHead, int64_t endHead) {
  const Geometry& g = call.geometry;
  if (bundle.pieces.empty()) return;
  const Buffers b(g, endHead - firstHead, call.dropout.active());
  const auto packed = [&](int i, int64_t h, const SegmentRows& segments) {
    float* context = b.context + h * b.contextFloats;
    float* at = i == kOwn ? b.own : i == 0 ? context : context + Segment::floats(g.prefix, b.dim);
    return Segment(at, segments.keys[i], b.dim);
  };
  int64_t packedTask = -1;
  for (const Piece& piece : bundle.pieces) {
    const Sequence& s = g.sequences[static_cast<size_t>(piece.sequence)];
    const SegmentRows segments = columnsOf(g, s);
    for (int64_t h = 0; h < endHead - firstHead; ++h) {
      const int64_t head = firstHead + h;
      Segment of[kMaxSegments];
      for (int i = 0; i < kMaxSegments; ++i) {
        if (segments.keys[i] == 0) continue;
        of[i] = packed(i, h, segments);
        // Sequences of one task share its packed prefix and shared segment.
        if (i != kOwn && packedTask == s.task) continue;
        const int64_t from = segments.row[i] * g.width + head * b.dim;
        of[i].pack(call.k[i] + from, call.v[i] + from, segments.keys[i], g.width, b.dim);
      }
      if (b.mask) {
        std::fill_n(b.mask, b.columns, 0.0f);
        fillMask(call.dropout, static_cast<uint32_t>(piece.sequence * g.heads + head), segments, b.dense, b.mask);
      }
      const HeadOfSequence work(call, b, segments, of, s, head);
      for (int64_t first = piece.begin; first < piece.end; first += b.block)
        work.attend(first, std::min(b.block, piece.end - first));
    }
    packedTask = s.task;
  }
}

}  // namespace hint::attention
