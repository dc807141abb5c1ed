#include "native/math/dot_kernel.h"
#include "native/math/float_rows.h"
#include "native/ops/attention/attention.h"
#include "native/ops/attention/cpu/forward_halves.h"
#include "native/ops/attention/cpu/workspace.h"
#include "native/runtime/cpu/widened_call.h"
#include "native/runtime/scratch.h"

namespace hint::attention {
namespace {

/// Everything that the units of one forward call of f32 read.
struct Forward {
  Forward(const Call& c, const Geometry& g, const RelativeBias& ofKeys, const Dropout& d)
      : call(c), geometry(g), bias(ofKeys), dropout(d) {}

  const Call& call;
  const Geometry& geometry;
  const RelativeBias& bias;
  const Dropout& dropout;
  const float* k[kMaxSegments] = {call.f(kPrefixKey), call.f(kSharedKey), call.f(kK)};
  const float* v[kMaxSegments] = {call.f(kPrefixValue), call.f(kSharedValue), call.f(kV)};
  float* o = call.o(kO);
  float* logSumExp = call.o(kLogSumExp);

  void unit(const Bundle& bundle, int64_t firstHead, int64_t endHead) const;
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
/// `Value` is float, or uint16_t for bf16.
template <typename Value>
void attendQuery(const Call& call, const Geometry& g, const RelativeBias& bias, const Dropout& dropout,
                 int64_t sequence, int64_t query, int64_t firstHead, int64_t endHead) {
  const Sequence& s = g.sequences[static_cast<size_t>(sequence)];
  const SegmentRows segments(g, s);
  const int64_t heads = endHead - firstHead, row = s.oBegin + query, visible = s.visible(query, g.causal);
  const int64_t keys = segments.keys[0] + segments.keys[1] + visible;
  const int64_t begin = firstHead * g.headDim, count = heads * g.headDim;
  const Scratch scratch(2 * heads * keys + 2 * g.width);
  float *ofQuery = scratch, *ofResult = ofQuery + g.width, *weights = ofResult + g.width;
  const FloatWriter o(call.out(kO));
  float* result = o.place(row * g.width, ofResult);
  float* logSumExp = call.o(kLogSumExp);
  SingleQuery<Value> single{FloatReader(call.in(kQ)).read((s.qBegin + query) * g.width, g.width, ofQuery),
                            result,
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
                            weights};
  constexpr int keysOf[kMaxSegments] = {kPrefixKey, kSharedKey, kK},
                valuesOf[kMaxSegments] = {kPrefixValue, kSharedValue, kV};
  for (int i = 0; i < kMaxSegments; ++i) {
    if (!call.has(keysOf[i])) continue;
    const int64_t from = segments.row[i] * g.width;
    single.rows[i] = {call.in(keysOf[i]).data<Value>() + from, call.in(valuesOf[i]).data<Value>() + from,
                      i == kOwn ? visible : segments.keys[i]};
  }
  if (dropout.active()) {
    float* mask = weights + heads * keys;
    for (int64_t head = firstHead; head < endHead; ++head)
      dropout.fill(static_cast<uint32_t>(sequence * g.heads + head), keys, mask + (head - firstHead) * keys);
    single.mask = mask;
  }
  attendSingle(single);
  o.write(row * g.width + begin, count, result + begin);
}

HalvesCall halvesOf(const Call& call, const Geometry& geometry, const RelativeBias& bias, const Dropout& dropout) {
  const auto of = [&](int input) { return call.has(input) ? call.in(input).data<uint16_t>() : nullptr; };
  return {geometry,
          bias,
          dropout,
          of(kQ),
          {of(kPrefixKey), of(kSharedKey), of(kK)},
          {of(kPrefixValue), of(kSharedValue), of(kV)},
          call.out(kO).data<uint16_t>(),
          call.o(kLogSumExp)};
}

}  // namespace

void forward(Call& call) {
  const bool isHalf = call.in(kQ).dtype == DType::bf16;
  if (isHalf && !hasDotProducts(DType::bf16)) return runWidened(call, forward);
  const Geometry g(call);
  const RelativeBias bias(call, g);
  const Dropout dropout = call.dropout();
  const double flops = 4.0 * static_cast<double>(g.width) * g.pairs();
  // How a sequence is attended depends on its own queries alone, so that its result does not depend on those beside it.
  const auto isShort = [&](int64_t sequence) {
    constexpr int64_t fewQueries = 2;
    return !g.sharedQueries && g.sequences[static_cast<size_t>(sequence)].queries <= fewQueries;
  };
  std::vector<int64_t> shorter;
  for (int64_t b = 0; b < static_cast<int64_t>(g.sequences.size()); ++b)
    if (isShort(b)) shorter.push_back(b);
  const auto count = static_cast<int64_t>(shorter.size());
  const auto attend = isHalf ? attendQuery<uint16_t> : attendQuery<float>;
  // With few sequences, heads are divided among threads, too.
  const int64_t groups = std::clamp<int64_t>(2 * threadCount() / std::max<int64_t>(count, 1), 1, g.heads);
  const auto attendShorter = [&](int64_t unit) {
    const int64_t b = shorter[static_cast<size_t>(unit / groups)], group = unit % groups;
    for (int64_t i = 0; i < g.sequences[static_cast<size_t>(b)].queries; ++i)
      attend(call, g, bias, dropout, b, i, g.heads * group / groups, g.heads * (group + 1) / groups);
  };
  if (count > 0) runUnits(count * groups, flops, attendShorter);
  if (shorter.size() == g.sequences.size()) return;
  Schedule schedule(g, Split::queries, threadCount());
  for (Bundle& bundle : schedule.bundles)
    std::erase_if(bundle.pieces, [&](const Piece& piece) { return isShort(piece.sequence); });
  const auto runBundles = [&](const auto& body) {
    runUnits(schedule.units(), flops, [&](int64_t unit) {
      const int64_t group = unit % schedule.headGroups;
      body(schedule.bundles[static_cast<size_t>(unit / schedule.headGroups)], g.heads * group / schedule.headGroups,
           g.heads * (group + 1) / schedule.headGroups);
    });
  };
  if (isHalf) {
    const HalvesCall halves = halvesOf(call, g, bias, dropout);
    runBundles([&](const Bundle& bundle, int64_t firstHead, int64_t endHead) {
      attendHalves(halves, bundle, firstHead, endHead);
    });
    return;
  }
  const Forward floats(call, g, bias, dropout);
  runBundles(
      [&](const Bundle& bundle, int64_t firstHead, int64_t endHead) { floats.unit(bundle, firstHead, endHead); });
}

}  // namespace hint::attention
