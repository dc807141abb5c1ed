#include "native/ops/attention/attention.h"
#include "native/ops/attention/cpu/workspace.h"
#include "native/runtime/scratch.h"

namespace hint::attention {
namespace {

/// Everything that the units of one forward call read.
struct Forward {
  explicit Forward(const Call& c) : call(c), geometry(c), bias(c, geometry), dropout(c.dropout()) {}

  const Call& call;
  const Geometry geometry;
  const RelativeBias bias;
  const Dropout dropout;
  const float* k[kMaxSegments] = {call.f(kPrefixKey), call.f(kSharedKey), call.f(kK)};
  const float* v[kMaxSegments] = {call.f(kPrefixValue), call.f(kSharedValue), call.f(kV)};
  float* o = call.o(kO);
  float* logSumExp = call.o(kLogSumExp);

  void unit(const Bundle& bundle, int64_t firstHead, int64_t endHead) const;
  void single(const Sequence& s, int64_t sequence, int64_t query, int64_t firstHead, int64_t endHead) const;
};

/// The buffers of one unit. Keys are panels for the product with q, values are rows for the product with p.
struct Buffers {
  int64_t dim, wide, columns, block;
  HeadArrays context, own, masks;
  Scratch scratch;
  float *scores, *result, *inverse, *logs, *dense;

  Buffers(const Geometry& g, int64_t heads, bool oneChunk, bool dropout)
      : dim(g.headDim),
        wide(padded(dim)),
        columns(contextColumns(g) + padded(g.maxKeys)),
        block(blockRows(columns, g.maxQueries)),
        context(contextColumns(g), dim + wide, heads, false),
        own(padded(g.maxKeys), dim + wide, heads, oneChunk),
        masks(dropout ? columns : 0, 1, heads, oneChunk),
        scratch(Slices::size(context.floats()) + Slices::size(own.floats()) + Slices::size(masks.floats()) +
                Slices::size(block * columns) + Slices::size(block * wide) + 2 * Slices::size(block) +
                Slices::size(columns)) {
    Slices slices(scratch);
    context.place(slices.take(context.floats()));
    own.place(slices.take(own.floats()));
    masks.place(slices.take(masks.floats()));
    scores = slices.take(block * columns);
    result = slices.take(block * wide);
    inverse = slices.take(block);
    logs = slices.take(block);
    dense = slices.take(columns);
  }
  /// Panels and rows of segment i.
  float* keys(int i, int64_t head, int64_t column) const {
    return i == kOwn ? own.at(head, 0, dim, 0) : context.at(head, 0, dim, column);
  }
  float* values(int i, int64_t head, int64_t column) const {
    return i == kOwn ? own.at(head, dim, wide, 0) : context.at(head, dim, wide, column);
  }
};

void Forward::unit(const Bundle& bundle, int64_t firstHead, int64_t endHead) const {
  const Geometry& g = geometry;
  if (bundle.pieces.empty()) return;
  const int64_t dim = g.headDim, heads = endHead - firstHead;
  const Buffers b(g, heads, oneChunkEach(bundle), dropout.active());
  const auto pack = [&](const SegmentRows& segments, int i, int64_t h) {
    if (segments.keys[i] == 0) return;
    const int64_t from = segments.row[i] * g.width + (firstHead + h) * dim;
    packPanels(k[i] + from, segments.keys[i], g.width, dim, b.keys(i, h, segments.column[i]));
    packRows(v[i] + from, segments.keys[i], g.width, dim, b.values(i, h, segments.column[i]));
  };

  int64_t packedTask = -1;
  for (const Piece& piece : bundle.pieces) {
    const Sequence& s = g.sequences[static_cast<size_t>(piece.sequence)];
    const SegmentRows segments(g, s);
    // Sequences of one task share its packed prefix and shared segment.
    if (packedTask != s.task)
      for (int64_t h = 0; h < heads; ++h)
        for (int i = 0; i < kOwn; ++i) pack(segments, i, h);
    packedTask = s.task;
    for (int64_t chunk = piece.begin; chunk < piece.end; chunk += kChunk)
      for (int64_t h = 0; h < heads; ++h) {
        const int64_t head = firstHead + h, chunkEnd = std::min(chunk + kChunk, piece.end);
        if (chunk == piece.begin) {
          pack(segments, kOwn, h);
          if (dropout.active())
            fillMask(dropout, static_cast<uint32_t>(piece.sequence * g.heads + head), segments, b.dense,
                     b.masks.at(h, 0, 1, 0));
        }
        for (int64_t first = chunk; first < chunkEnd; first += b.block) {
          const ScoreBlock rows =
              scoreBlock(segments, g, b.scores, b.columns, first, std::min(b.block, chunkEnd - first), bias.head(head),
                         dropout.active() ? b.masks.at(h, 0, 1, 0) : nullptr);
          const int64_t row = s.oBegin + first;
          const float* q = call.f(kQ) + (s.qBegin + first) * g.width + head * dim;
          for (int i = 0; i < kMaxSegments; ++i)
            multiplyTile({rows.rows, padded(rows.used(i)) / kLanes, dim, q, g.width, 1, b.keys(i, h, rows.column[i]),
                          kLanes, dim * kLanes, b.scores + rows.column[i], b.columns, false});
          softmaxRows(rows, b.inverse, b.logs);
          for (int i = 0; i < kMaxSegments; ++i)
            multiplyTile({rows.rows, b.wide / kLanes, rows.used(i), b.scores + rows.column[i], b.columns, 1,
                          b.values(i, h, rows.column[i]), b.wide, kLanes, b.result, b.wide, i > 0});
          unpackRows(b.result, rows.rows, dim, b.inverse, 0.0f, o + row * g.width + head * dim, g.width);
          if (logSumExp)
            for (int64_t r = 0; r < rows.rows; ++r) logSumExp[(row + r) * g.heads + head] = b.logs[r];
        }
      }
  }
}

/// Attends one query at a time and reads keys and values in place: packing them costs more than one query gains.
void Forward::single(const Sequence& s, int64_t sequence, int64_t query, int64_t firstHead, int64_t endHead) const {
  const Geometry& g = geometry;
  const SegmentRows segments(g, s);
  const int64_t heads = endHead - firstHead, row = s.oBegin + query, visible = s.visible(query, g.causal);
  const int64_t keys = segments.keys[0] + segments.keys[1] + visible;
  const Scratch scratch(2 * heads * keys);
  SingleQuery single{call.f(kQ) + (s.qBegin + query) * g.width,
                     o + row * g.width,
                     logSumExp ? logSumExp + row * g.heads : nullptr,
                     kMaxSegments,
                     {},
                     g.width,
                     g.headDim,
                     firstHead,
                     endHead,
                     bias.present() ? bias.head(0) - query : nullptr,
                     bias.stride(),
                     nullptr,
                     scratch};
  for (int i = 0; i < kMaxSegments; ++i) {
    const int64_t count = i == kOwn ? visible : segments.keys[i], from = segments.row[i] * g.width;
    single.rows[i] = {k[i] + (k[i] ? from : 0), v[i] + (v[i] ? from : 0), count};
  }
  if (dropout.active()) {
    float* mask = scratch + heads * keys;
    for (int64_t head = firstHead; head < endHead; ++head)
      dropout.fill(static_cast<uint32_t>(sequence * g.heads + head), keys, mask + (head - firstHead) * keys);
    single.mask = mask;
  }
  attendSingle(single);
}

}  // namespace

void forward(Call& call) {
  const Forward forward(call);
  const Geometry& g = forward.geometry;
  const double flops = 4.0 * static_cast<double>(g.width) * g.pairs();
  constexpr int64_t fewQueries = 2;
  if (g.maxQueries <= fewQueries && !g.sharedQueries) {
    const auto count = static_cast<int64_t>(g.sequences.size());
    // With few sequences, heads are divided among threads, too.
    const int64_t groups = std::clamp<int64_t>(2 * threadCount() / std::max<int64_t>(count, 1), 1, g.heads);
    runUnits(count * groups, flops, [&](int64_t unit) {
      const int64_t b = unit / groups, group = unit % groups;
      const Sequence& s = g.sequences[static_cast<size_t>(b)];
      for (int64_t i = 0; i < s.queries; ++i)
        forward.single(s, b, i, g.heads * group / groups, g.heads * (group + 1) / groups);
    });
    return;
  }
  const Schedule schedule(g, Split::queries, threadCount());
  runUnits(schedule.units(), flops, [&](int64_t unit) {
    const int64_t group = unit % schedule.headGroups;
    forward.unit(schedule.bundles[static_cast<size_t>(unit / schedule.headGroups)],
                 g.heads * group / schedule.headGroups, g.heads * (group + 1) / schedule.headGroups);
  });
}

}  // namespace hint::attention
