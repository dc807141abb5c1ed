#include "native/ops/attention/attention.h"
#include "native/ops/attention/workspace.h"
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

  void unit(const Bundle& bundle, int64_t head) const;
  void single(const Sequence& s, int64_t sequence, int64_t query, int64_t firstHead, int64_t endHead) const;
};

void Forward::unit(const Bundle& bundle, int64_t head) const {
  const Geometry& g = geometry;
  if (bundle.pieces.empty()) return;
  const int64_t dim = g.headDim, wide = padded(dim), columns = SegmentRows::maxColumns(g);
  const int64_t block = blockRows(columns, g.maxQueries);
  const Scratch scratch(Slices::size(columns * dim) + Slices::size(columns * wide) + Slices::size(block * columns) +
                        Slices::size(block * wide) + 2 * Slices::size(block) + 2 * Slices::size(columns));
  Slices slices(scratch);
  float *keyPanels = slices.take(columns * dim), *values = slices.take(columns * wide);
  float *scores = slices.take(block * columns), *result = slices.take(block * wide);
  float *inverse = slices.take(block), *logs = slices.take(block);
  float *dense = slices.take(columns), *mask = slices.take(columns);

  int64_t packedTask = -1;
  for (const Piece& piece : bundle.pieces) {
    const Sequence& s = g.sequences[static_cast<size_t>(piece.sequence)];
    const SegmentRows segments(g, s);
    // Queries of one task share its packed prefix and shared segment.
    for (int i = packedTask == s.task ? kMaxSegments - 1 : 0; i < kMaxSegments; ++i) {
      const int64_t from = segments.row[i] * g.width + head * dim;
      if (segments.keys[i] == 0) continue;
      packPanels(k[i] + from, segments.keys[i], g.width, dim, keyPanels + segments.column[i] * dim);
      packRows(v[i] + from, segments.keys[i], g.width, dim, values + segments.column[i] * wide);
    }
    packedTask = s.task;
    if (dropout.active())
      fillMask(dropout, static_cast<uint32_t>(piece.sequence * g.heads + head), segments, dense, mask);

    for (int64_t first = piece.begin; first < piece.end; first += block) {
      ScoreBlock rows{scores,   columns,         std::min(block, piece.end - first), kMaxSegments, {}, {}, first,
                      g.causal, bias.head(head), dropout.active() ? mask : nullptr};
      std::copy(segments.column, segments.column + kMaxSegments, rows.column);
      std::copy(segments.keys, segments.keys + kMaxSegments, rows.keys);
      const auto used = [&](int i) { return i == kMaxSegments - 1 ? rows.visible(rows.rows - 1) : rows.keys[i]; };
      const float* q = call.f(kQ) + (s.qBegin + first) * g.width + head * dim;
      for (int i = 0; i < kMaxSegments; ++i)
        multiply({rows.rows, padded(used(i)) / kLanes, dim, q, g.width, 1, keyPanels + rows.column[i] * dim, kLanes,
                  dim * kLanes, scores + rows.column[i], columns, false});
      softmaxRows(rows, inverse, logs);
      for (int i = 0; i < kMaxSegments; ++i)
        multiply({rows.rows, wide / kLanes, used(i), scores + rows.column[i], columns, 1,
                  values + rows.column[i] * wide, wide, kLanes, result, wide, i > 0});
      const int64_t row = s.oBegin + first;
      unpackRows(result, rows.rows, dim, inverse, 0.0f, o + row * g.width + head * dim, g.width);
      if (logSumExp)
        for (int64_t r = 0; r < rows.rows; ++r) logSumExp[(row + r) * g.heads + head] = logs[r];
    }
  }
}

/// One query at a time, reading keys and values in place: decoding would not repay packing them.
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
    const int64_t count = i == kMaxSegments - 1 ? visible : segments.keys[i], from = segments.row[i] * g.width;
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
  const double flops = call.flops();
  constexpr int64_t fewQueries = 2;
  if (g.maxQueries <= fewQueries && !g.sharedQueries) {
    const auto count = static_cast<int64_t>(g.sequences.size());
    // With few sequences the heads are divided too.
    const int64_t groups = std::clamp<int64_t>(2 * threadCount() / std::max<int64_t>(count, 1), 1, g.heads);
    runUnits(count * groups, flops, [&](int64_t unit) {
      const int64_t b = unit / groups, group = unit % groups;
      const Sequence& s = g.sequences[static_cast<size_t>(b)];
      for (int64_t i = 0; i < s.queries; ++i)
        forward.single(s, b, i, g.heads * group / groups, g.heads * (group + 1) / groups);
    });
    return;
  }
  int64_t parts;
  const std::vector<Bundle> bundles = makeBundles(g, Split::queries, threadCount(), parts);
  runUnits(static_cast<int64_t>(bundles.size()) * g.heads, flops,
           [&](int64_t unit) { forward.unit(bundles[static_cast<size_t>(unit / g.heads)], unit % g.heads); });
}

}  // namespace hint::attention
