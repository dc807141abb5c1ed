#include <cstring>

#include "native/core/error.h"
#include "native/ops/attention/attention.h"
#include "native/ops/attention/cpu/gradient_buffers.h"
#include "native/ops/attention/cpu/target.h"
#include "native/ops/attention/cpu/workspace.h"
#include "native/ops/common/elementwise.h"
#include "native/ops/common/long_sums.h"
#include "native/runtime/scratch.h"

namespace hint::attention {
namespace {

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
  std::vector<double> biasSums;  ///< [bundles, heads, buckets]
  std::vector<double> sumsQ;     ///< [qRows, width] used when more than a few sequences share q

  void unit(const Bundle& bundle, int64_t bundleIndex, int64_t firstHead, int64_t endHead);
};

/// The backward pass of one unit. Heads are counted from the unit's first.
class UnitPass {
 public:
  UnitPass(Backward& pass, const Bundle& bundle, int64_t firstHead, int64_t endHead)
      : pass_(pass),
        g_(pass.geometry),
        bundle_(bundle),
        firstHead_(firstHead),
        heads_(endHead - firstHead),
        b_(g_, heads_, oneChunkEach(bundle), pass.dropout.active(), pass.call.gi(kBias) ? pass.bias.stride() : 0) {}

  void run() {
    size_t next = 0;
    for (int64_t task = bundle_.firstTask; task < bundle_.endTask; ++task) {
      Sequence none{};
      none.task = task;
      const SegmentRows context(g_, none);
      context_ = {};
      for (int64_t h = 0; h < heads_; ++h)
        for (int i = 0; i < kOwn; ++i) load(context, i, h);
      for (; next < bundle_.pieces.size(); ++next) {
        const Piece& piece = bundle_.pieces[next];
        if (g_.sequences[static_cast<size_t>(piece.sequence)].task != task) break;
        run(piece);
      }
      for (int64_t h = 0; h < heads_; ++h)
        for (int i = 0; i < kOwn; ++i)
          // Partial sums of a prefix are dense over tasks; the gradient itself has other slots between them.
          store(context, i, h, i == 0 && pass_.parts > 1 ? task * g_.prefix : context.row[i], context_);
    }
  }

  /// Sums the gradients by relative position into buckets.
  void addBias(int64_t head, double* sums) const {
    const double* gradient = b_.relativeSums + head * b_.relative;
    for (int64_t index = 0; index < b_.relative; ++index) sums[pass_.bias.bucket(index)] += gradient[index];
  }

 private:
  /// State of the gradients of keys: the number of queries that are summed in f32, and whether earlier ones are in
  /// double.
  struct Progress {
    int64_t queries = 0;
    bool moved = false;
  };

  void load(const SegmentRows& segments, int i, int64_t h) {
    const int64_t keys = segments.keys[i], from = segments.row[i] * g_.width + (firstHead_ + h) * b_.dim;
    if (keys == 0) return;
    const Segment s = b_.segment(segments, i, h);
    packPanels(pass_.k[i] + from, keys, g_.width, b_.dim, s.keyPanels);
    packPanels(pass_.v[i] + from, keys, g_.width, b_.dim, s.valuePanels);
    if (pass_.targetQ.wanted()) packRows(pass_.k[i] + from, keys, g_.width, b_.dim, s.keyRows);
    std::memset(s.gradientK, 0, static_cast<size_t>(keys * b_.wide) * sizeof(float));
    std::memset(s.gradientV, 0, static_cast<size_t>(keys * b_.wide) * sizeof(float));
  }

  /// Adds gradients of keys to their sums in double and clears them.
  void move(const SegmentRows& segments, int i, int64_t h, const Progress& progress) {
    const int64_t count = segments.keys[i] * b_.wide;
    if (count == 0) return;
    const Segment s = b_.segment(segments, i, h);
    if (!progress.moved) {
      std::fill(s.sumsK, s.sumsK + count, 0.0);
      std::fill(s.sumsV, s.sumsV + count, 0.0);
    }
    moveToDouble(s.gradientK, s.sumsK, count);
    moveToDouble(s.gradientV, s.sumsV, count);
  }

  void store(const SegmentRows& segments, int i, int64_t h, int64_t row, const Progress& progress) {
    const int64_t keys = segments.keys[i], head = firstHead_ + h, count = keys * b_.wide;
    if (keys == 0) return;
    const Segment s = b_.segment(segments, i, h);
    if (progress.moved) {
      move(segments, i, h, progress);
      std::copy(s.sumsK, s.sumsK + count, s.gradientK);
      std::copy(s.sumsV, s.sumsV + count, s.gradientV);
    }
    if (Target& k = pass_.targetK[i]; k.wanted()) k.write(bundle_.part, row, keys, head, b_.dim, g_.width, s.gradientK);
    if (Target& v = pass_.targetV[i]; v.wanted()) v.write(bundle_.part, row, keys, head, b_.dim, g_.width, s.gradientV);
  }

  void run(const Piece& piece) {
    const Sequence& s = g_.sequences[static_cast<size_t>(piece.sequence)];
    const SegmentRows all(g_, s);
    int64_t key = 0;
    do {
      const int64_t keyEnd = std::min(key + b_.keyTile, s.keys);
      run(piece, s, all.tile(key, keyEnd), key);
      key = keyEnd;
    } while (key < s.keys);
  }

  /// All queries of a piece against a tile of its keys that starts at own key `firstKey`.
  void run(const Piece& piece, const Sequence& s, const SegmentRows& segments, int64_t firstKey) {
    int64_t chunk = piece.begin;
    Progress own;
    do {
      const int64_t chunkEnd = std::min(chunk + kChunk, piece.end);
      for (int64_t h = 0; h < heads_; ++h) {
        if (chunk == piece.begin) {
          load(segments, kOwn, h);
          if (pass_.dropout.active())
            fillMask(pass_.dropout, static_cast<uint32_t>(piece.sequence * g_.heads + firstHead_ + h), segments,
                     b_.dense, b_.masks.at(h, 0, 1, 0));
        }
        for (int64_t first = chunk; first < chunkEnd; first += b_.block)
          block(s, segments, firstKey, h, first, std::min(b_.block, chunkEnd - first));
        if (chunkEnd == piece.end)
          store(segments, kOwn, h, segments.row[kOwn], own);
        else
          move(segments, kOwn, h, own);
      }
      own.moved = true;
      context_.queries += firstKey == 0 ? chunkEnd - chunk : 0;
      if (context_.queries >= kChunk) {
        for (int64_t h = 0; h < heads_; ++h)
          for (int i = 0; i < kOwn; ++i) move(segments, i, h, context_);
        context_ = {0, true};
      }
      chunk = chunkEnd;
    } while (chunk < piece.end);
  }

  void block(const Sequence& s, const SegmentRows& segments, int64_t firstKey, int64_t h, int64_t first,
             int64_t count) {
    const int64_t dim = b_.dim, wide = b_.wide, columns = b_.columns, vectors = wide / kLanes, head = firstHead_ + h;
    const int64_t qAt = (s.qBegin + first) * g_.width + head * dim, oAt = (s.oBegin + first) * g_.width + head * dim;
    const ScoreBlock rows = scoreBlock(segments, g_, b_.scores, columns, first - firstKey, count, pass_.bias.head(head),
                                       pass_.dropout.active() ? b_.masks.at(h, 0, 1, 0) : nullptr);
    if (firstKey > 0 && rows.used(kOwn) == 0) return;
    packRows(pass_.call.f(kQ) + qAt, count, g_.width, dim, b_.q);
    packRows(pass_.gradientO + oAt, count, g_.width, dim, b_.dO);
    rowDots(pass_.gradientO + oAt, pass_.call.out(kO).data<float>() + oAt, count, g_.width, dim, b_.delta);
    const float* logs = pass_.call.out(kLogSumExp).data<float>() + (s.oBegin + first) * g_.heads + head;
    for (int64_t r = 0; r < count; ++r) b_.logs[r] = logs[r * g_.heads];

    for (int i = 0; i < kMaxSegments; ++i) {
      const Segment segment = b_.segment(segments, i, h);
      const int64_t column = rows.column[i], keyVectors = padded(rows.used(i)) / kLanes;
      multiplyTile({count, keyVectors, dim, b_.q, wide, 1, segment.keyPanels, kLanes, dim * kLanes, b_.scores + column,
                    columns, false});
      multiplyTile({count, keyVectors, dim, b_.dO, wide, 1, segment.valuePanels, kLanes, dim * kLanes, b_.dP + column,
                    columns, false});
    }
    softmaxGradientRows(rows, b_.dP, b_.logs, b_.delta, s.keys <= b_.keyTile);
    if (b_.relative) {
      addRelativeGradient(rows, b_.dP, b_.relativeGradient + pass_.bias.origin());
      // From the first key of the last query to the last key of the first.
      const int64_t from = pass_.bias.origin() - (rows.firstQuery + count - 1);
      moveToDouble(b_.relativeGradient + from, b_.relativeSums + h * b_.relative + from, rows.used(kOwn) + count - 1);
    }
    for (int i = 0; i < kMaxSegments; ++i) {
      const Segment segment = b_.segment(segments, i, h);
      const int64_t column = rows.column[i], used = rows.used(i);
      if (pass_.targetV[i].wanted())
        multiplyTile(
            {used, vectors, count, b_.scores + column, 1, columns, b_.dO, wide, kLanes, segment.gradientV, wide, true});
      if (pass_.targetK[i].wanted())
        multiplyTile(
            {used, vectors, count, b_.dP + column, 1, columns, b_.q, wide, kLanes, segment.gradientK, wide, true});
      if (pass_.targetQ.wanted())
        multiplyTile(
            {count, vectors, used, b_.dP + column, columns, 1, segment.keyRows, wide, kLanes, b_.dQ, wide, i > 0});
    }
    if (!pass_.sumsQ.empty())
      addRows(b_.dQ, count, dim, pass_.sumsQ.data() + qAt, g_.width);
    else if (pass_.targetQ.wanted())
      unpackRows(b_.dQ, count, dim, nullptr, firstKey > 0 ? 1.0f : pass_.targetQ.beta, pass_.targetQ.gradient + qAt,
                 g_.width);
  }

  Backward& pass_;
  const Geometry& g_;
  const Bundle& bundle_;
  const int64_t firstHead_, heads_;
  const Buffers b_;
  Progress context_;
};

void Backward::unit(const Bundle& bundle, int64_t bundleIndex, int64_t firstHead, int64_t endHead) {
  UnitPass pass(*this, bundle, firstHead, endHead);
  pass.run();
  if (!call.gi(kBias)) return;
  for (int64_t head = firstHead; head < endHead; ++head)
    pass.addBias(head - firstHead, biasSums.data() + (bundleIndex * geometry.heads + head) * call.dim("buckets"));
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
  const Schedule schedule(g, g.sharedQueries ? Split::rows : Split::sequences, threadCount());
  const int64_t parts = backward.parts = schedule.parts;
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
  constexpr size_t fewSequences = 64;
  if (backward.targetQ.wanted() && g.sharedQueries && g.sequences.size() > fewSequences)
    backward.sumsQ.resize(static_cast<size_t>(call.dim("qRows") * g.width));
  const int keys[] = {kPrefixKey, kSharedKey, kK}, values[] = {kPrefixValue, kSharedValue, kV};
  const int64_t rows[] = {g.tasks * g.prefix, g.sharedBegin.back(), call.dim("kRows")};
  for (int i = 0; i < kMaxSegments; ++i) {
    const bool own = i == kMaxSegments - 1, divided = !own || g.sharedQueries;
    backward.targetK[i] = target(keys[i], rows[i], i > 0, divided);
    backward.targetV[i] = target(values[i], rows[i], i > 0, divided);
  }
  float* gradientBias = call.gi(kBias);
  const int64_t buckets = gradientBias ? call.dim("buckets") : 0,
                bundles = static_cast<int64_t>(schedule.bundles.size());
  backward.biasSums.resize(static_cast<size_t>(bundles * g.heads * buckets));

  runUnits(schedule.units(), 10.0 * static_cast<double>(g.width) * g.pairs(), [&](int64_t unit) {
    const int64_t bundle = unit / schedule.headGroups, group = unit % schedule.headGroups;
    backward.unit(schedule.bundles[static_cast<size_t>(bundle)], bundle, g.heads * group / schedule.headGroups,
                  g.heads * (group + 1) / schedule.headGroups);
  });

  parallelFor(static_cast<int64_t>(backward.sumsQ.size()), kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float& gradient = backward.targetQ.gradient[i];
      gradient = static_cast<float>(static_cast<double>(gradient) + backward.sumsQ[static_cast<size_t>(i)]);
    }
  });
  for (int i = 0; i < kMaxSegments; ++i) {
    const auto row = [&](int64_t r) { return i == 0 ? g.prefixRow(r / g.prefix) + r % g.prefix : r; };
    reduce(backward.targetK[i], parts, g.width, row);
    reduce(backward.targetV[i], parts, g.width, row);
  }
  for (int64_t bucket = 0; bucket < buckets; ++bucket)
    for (int64_t head = 0; head < g.heads; ++head) {
      double sum = 0.0;
      for (int64_t bundle = 0; bundle < bundles; ++bundle)
        sum += backward.biasSums[static_cast<size_t>((bundle * g.heads + head) * buckets + bucket)];
      float& gradient = gradientBias[bucket * g.heads + head];
      gradient =
          static_cast<float>(sum + (call.beta(kBias) == 0.0f ? 0.0 : call.beta(kBias) * static_cast<double>(gradient)));
    }
}

}  // namespace hint::attention
