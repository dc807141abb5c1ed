#include <cstring>

#include "native/ops/attention/attention.h"
#include "native/ops/attention/workspace.h"
#include "native/runtime/error.h"
#include "native/runtime/scratch.h"

namespace hint::attention {
namespace {

/// Where the gradient of one input's rows goes: the gradient itself, or one of several partial sums when bundles share
/// those rows.
struct Target {
  float* gradient = nullptr;
  float beta = 0.0f;
  int64_t rows = 0;
  std::vector<float> partial = {};  ///< [parts, rows, width]

  bool wanted() const { return gradient != nullptr; }
  void write(int64_t part, int64_t row, int64_t count, int64_t head, int64_t dim, int64_t width, const float* packed) {
    float* base = partial.empty() ? gradient : partial.data() + part * rows * width;
    unpackRows(packed, count, dim, nullptr, partial.empty() ? beta : 0.0f, base + row * width + head * dim, width);
  }
};

/// One segment of keys of the current sequence, in the layouts that its five products read and write.
struct Segment {
  float *keyPanels, *keyRows, *valuePanels, *gradientK, *gradientV;
};

struct Backward {
  explicit Backward(const Call& c) : call(c), geometry(c), bias(c, geometry), dropout(c.dropout()) {}

  const Call& call;
  const Geometry geometry;
  const RelativeBias bias;
  const Dropout dropout;
  const float* k[kMaxSegments] = {call.f(kPrefixKey), call.f(kSharedKey), call.f(kK)};
  const float* v[kMaxSegments] = {call.f(kPrefixValue), call.f(kSharedValue), call.f(kV)};
  const float* gradientO = call.go(kO);
  int64_t parts = 1;
  Target targetQ, targetK[kMaxSegments], targetV[kMaxSegments];
  std::vector<double> biasSums;  ///< [units, buckets]

  void unit(const Bundle& bundle, int64_t unitIndex, int64_t head);
};

/// The buffers of one unit.
struct Buffers {
  int64_t dim, wide, columns, block, relative;
  Scratch scratch;
  Segment all;
  float *scores, *dP, *q, *dO, *o, *dQ, *delta, *logs, *dense, *mask, *relativeGradient;

  Buffers(const Geometry& g, int64_t relativePositions)
      : dim(g.headDim),
        wide(padded(dim)),
        columns(SegmentRows::maxColumns(g)),
        block(blockRows(columns, g.maxQueries)),
        relative(relativePositions),
        scratch(2 * Slices::size(columns * dim) + 3 * Slices::size(columns * wide) + 2 * Slices::size(block * columns) +
                4 * Slices::size(block * wide) + 2 * Slices::size(block) + 2 * Slices::size(columns) +
                Slices::size(relative)) {
    Slices slices(scratch);
    all = {slices.take(columns * dim), slices.take(columns * wide), slices.take(columns * dim),
           slices.take(columns * wide), slices.take(columns * wide)};
    scores = slices.take(block * columns);
    dP = slices.take(block * columns);
    q = slices.take(block * wide);
    dO = slices.take(block * wide);
    o = slices.take(block * wide);
    dQ = slices.take(block * wide);
    delta = slices.take(block);
    logs = slices.take(block);
    dense = slices.take(columns);
    mask = slices.take(columns);
    relativeGradient = slices.take(relative);
  }
  Segment at(int64_t column) const {
    return {all.keyPanels + column * dim, all.keyRows + column * wide, all.valuePanels + column * dim,
            all.gradientK + column * wide, all.gradientV + column * wide};
  }
};

void Backward::unit(const Bundle& bundle, int64_t unitIndex, int64_t head) {
  const Geometry& g = geometry;
  const int64_t dim = g.headDim, width = g.width;
  float* gradientBias = call.gi(kBias);
  const Buffers b(g, gradientBias ? bias.stride() : 0);
  if (gradientBias) std::fill(b.relativeGradient, b.relativeGradient + b.relative, 0.0f);

  const auto load = [&](const SegmentRows& segments, int i) {
    const int64_t keys = segments.keys[i], from = segments.row[i] * width + head * dim;
    if (keys == 0) return;
    const Segment s = b.at(segments.column[i]);
    packPanels(k[i] + from, keys, width, dim, s.keyPanels);
    packPanels(v[i] + from, keys, width, dim, s.valuePanels);
    if (targetQ.wanted()) packRows(k[i] + from, keys, width, dim, s.keyRows);
    std::memset(s.gradientK, 0, static_cast<size_t>(keys * b.wide) * sizeof(float));
    std::memset(s.gradientV, 0, static_cast<size_t>(keys * b.wide) * sizeof(float));
  };
  const auto store = [&](const SegmentRows& segments, int i, int64_t row) {
    if (segments.keys[i] == 0) return;
    const Segment s = b.at(segments.column[i]);
    if (targetK[i].wanted()) targetK[i].write(bundle.part, row, segments.keys[i], head, dim, width, s.gradientK);
    if (targetV[i].wanted()) targetV[i].write(bundle.part, row, segments.keys[i], head, dim, width, s.gradientV);
  };
  const auto products = [&](const ScoreBlock& rows, const Segment& s, int i, int64_t used) {
    const int64_t column = rows.column[i], vectors = b.wide / kLanes;
    if (targetV[i].wanted())
      multiply(
          {used, vectors, rows.rows, b.scores + column, 1, b.columns, b.dO, b.wide, kLanes, s.gradientV, b.wide, true});
    if (targetK[i].wanted())
      multiply({used, vectors, rows.rows, b.dP + column, 1, b.columns, b.q, b.wide, kLanes, s.gradientK, b.wide, true});
    if (targetQ.wanted())
      multiply({rows.rows, vectors, used, b.dP + column, b.columns, 1, s.keyRows, b.wide, kLanes, b.dQ, b.wide, i > 0});
  };

  size_t next = 0;
  for (int64_t task = bundle.firstTask; task < bundle.endTask; ++task) {
    Sequence empty{};
    empty.task = task;
    const SegmentRows context(g, empty);
    for (int i = 0; i + 1 < kMaxSegments; ++i) load(context, i);
    for (; next < bundle.pieces.size(); ++next) {
      const Piece& piece = bundle.pieces[next];
      const Sequence& s = g.sequences[static_cast<size_t>(piece.sequence)];
      if (s.task != task) break;
      const SegmentRows segments(g, s);
      load(segments, kMaxSegments - 1);
      if (dropout.active())
        fillMask(dropout, static_cast<uint32_t>(piece.sequence * g.heads + head), segments, b.dense, b.mask);
      for (int64_t first = piece.begin; first < piece.end; first += b.block) {
        ScoreBlock rows{b.scores, b.columns,       std::min(b.block, piece.end - first), kMaxSegments, {}, {}, first,
                        g.causal, bias.head(head), dropout.active() ? b.mask : nullptr};
        std::copy(segments.column, segments.column + kMaxSegments, rows.column);
        std::copy(segments.keys, segments.keys + kMaxSegments, rows.keys);
        const int64_t qRow = s.qBegin + first, oRow = s.oBegin + first;
        packRows(call.f(kQ) + qRow * width + head * dim, rows.rows, width, dim, b.q);
        packRows(gradientO + oRow * width + head * dim, rows.rows, width, dim, b.dO);
        rowDots(gradientO + oRow * width + head * dim, call.out(kO).data<float>() + oRow * width + head * dim,
                rows.rows, width, dim, b.delta);
        for (int64_t r = 0; r < rows.rows; ++r)
          b.logs[r] = call.out(kLogSumExp).data<float>()[(oRow + r) * g.heads + head];
        const auto used = [&](int i) { return i == kMaxSegments - 1 ? rows.visible(rows.rows - 1) : rows.keys[i]; };
        for (int i = 0; i < kMaxSegments; ++i) {
          const Segment segment = b.at(rows.column[i]);
          const int64_t vectors = padded(used(i)) / kLanes;
          multiply({rows.rows, vectors, dim, b.q, b.wide, 1, segment.keyPanels, kLanes, dim * kLanes,
                    b.scores + rows.column[i], b.columns, false});
          multiply({rows.rows, vectors, dim, b.dO, b.wide, 1, segment.valuePanels, kLanes, dim * kLanes,
                    b.dP + rows.column[i], b.columns, false});
        }
        softmaxGradientRows(rows, b.dP, b.logs, b.delta);
        if (gradientBias) addRelativeGradient(rows, b.dP, b.relativeGradient + bias.origin());
        for (int i = 0; i < kMaxSegments; ++i) products(rows, b.at(rows.column[i]), i, used(i));
        if (targetQ.wanted())
          unpackRows(b.dQ, rows.rows, dim, nullptr, targetQ.beta, targetQ.gradient + qRow * width + head * dim, width);
      }
      store(segments, kMaxSegments - 1, s.kBegin);
    }
    // Partial sums of a prefix are dense over tasks; the gradient itself has other slots between them.
    store(context, 0, parts == 1 ? context.row[0] : task * g.prefix);
    store(context, 1, context.row[1]);
  }
  if (gradientBias) {
    double* sums = biasSums.data() + unitIndex * call.dim("buckets");
    for (int64_t index = 0; index < b.relative; ++index)
      sums[bias.bucket(index)] += static_cast<double>(b.relativeGradient[index]);
  }
}

/// gradient[row(r)] = beta * gradient + the sum of the partial rows r, in the order of the parts.
template <typename Row>
void reduce(const Target& target, int64_t parts, int64_t width, const Row& row) {
  if (target.partial.empty()) return;
  parallelFor(target.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      float* gradient = target.gradient + row(r) * width;
      for (int64_t d = 0; d < width; ++d) {
        float sum = 0.0f;
        for (int64_t part = 0; part < parts; ++part)
          sum += target.partial[static_cast<size_t>((part * target.rows + r) * width + d)];
        gradient[d] = target.beta == 0.0f ? sum : target.beta * gradient[d] + sum;
      }
    }
  });
}

}  // namespace

void backward(Call& call) {
  if (!call.go(kO)) {
    for (size_t i = 0; i < call.gradInputs.size(); ++i) call.giZeroed(static_cast<int>(i));
    return;
  }
  if (!call.hasOut(kLogSumExp))
    fail("INVALID_ARGUMENT", call.describe(),
         ": the forward pass ran with training 0 and kept no logSumExp; run it with "
         "training 1 to differentiate it.");
  Backward backward(call);
  const Geometry& g = backward.geometry;
  int64_t& parts = backward.parts;
  const std::vector<Bundle> bundles =
      makeBundles(g, g.sharedQueries ? Split::rows : Split::sequences, threadCount(), parts);

  const auto target = [&](int input, int64_t rows, bool overwritten, bool divided) {
    Target result;
    result.gradient = overwritten ? call.gi(input) : call.giZeroed(input);
    result.beta = overwritten && result.gradient ? call.beta(input) : 1.0f;
    result.rows = rows;
    if (result.wanted() && divided && parts > 1) result.partial.resize(static_cast<size_t>(parts * rows * g.width));
    return result;
  };
  // Every row of q is written once, but with sharedQueries once per sequence; only one slot of a prefix is written.
  backward.targetQ = target(kQ, call.dim("qRows"), !g.sharedQueries, false);
  const int keys[] = {kPrefixKey, kSharedKey, kK}, values[] = {kPrefixValue, kSharedValue, kV};
  const int64_t rows[] = {g.tasks * g.prefix, g.sharedBegin.back(), call.dim("kRows")};
  for (int i = 0; i < kMaxSegments; ++i) {
    const bool own = i == kMaxSegments - 1, divided = !own || g.sharedQueries;
    backward.targetK[i] = target(keys[i], rows[i], i > 0, divided);
    backward.targetV[i] = target(values[i], rows[i], i > 0, divided);
  }
  const int64_t units = static_cast<int64_t>(bundles.size()) * g.heads;
  float* gradientBias = call.gi(kBias);
  const int64_t buckets = gradientBias ? call.dim("buckets") : 0;
  backward.biasSums.resize(static_cast<size_t>(units * buckets));

  runUnits(units, call.flops(),
           [&](int64_t unit) { backward.unit(bundles[static_cast<size_t>(unit / g.heads)], unit, unit % g.heads); });

  for (int i = 0; i < kMaxSegments; ++i) {
    const auto row = [&](int64_t r) { return i == 0 ? g.prefixRow(r / g.prefix) + r % g.prefix : r; };
    reduce(backward.targetK[i], parts, g.width, row);
    reduce(backward.targetV[i], parts, g.width, row);
  }
  for (int64_t bucket = 0; bucket < buckets; ++bucket)
    for (int64_t head = 0; head < g.heads; ++head) {
      double sum = 0.0;
      for (int64_t unit = head; unit < units; unit += g.heads)
        sum += backward.biasSums[static_cast<size_t>(unit * buckets + bucket)];
      float& gradient = gradientBias[bucket * g.heads + head];
      gradient =
          static_cast<float>(sum + (call.beta(kBias) == 0.0f ? 0.0 : call.beta(kBias) * static_cast<double>(gradient)));
    }
}

}  // namespace hint::attention
