#include "native/ops/common/reference.h"

#include <cmath>

#include "native/ops/attention/attention.h"
#include "native/ops/attention/geometry.h"
#include "native/ops/common/relative_bucket.h"

namespace hint {
namespace {

using namespace attention;

/// One query of one head over every key in order, as the contract in attention.h defines it.
void attendReference(ReferenceCall& r, const Geometry& g, size_t b, int64_t query, int64_t head) {
  const Sequence& s = g.sequences[b];
  std::vector<const double*> keys, values;
  const auto append = [&](int key, int value, int64_t firstRow, int64_t count) {
    for (int64_t j = 0; j < count; ++j) {
      keys.push_back(r.in(key) + (firstRow + j) * g.width + head * g.headDim);
      values.push_back(r.in(value) + (firstRow + j) * g.width + head * g.headDim);
    }
  };
  append(kPrefixKey, kPrefixValue, g.prefixRow(s.task), g.prefix);
  append(kSharedKey, kSharedValue, g.sharedBegin[static_cast<size_t>(s.task)], g.sharedKeys(s.task));
  const size_t firstOwn = keys.size();
  append(kK, kV, s.kBegin, s.visible(query, g.causal));

  const double* q = r.in(kQ) + (s.qBegin + query) * g.width + head * g.headDim;
  std::vector<double> scores(keys.size());
  const RelativeBuckets* buckets =
      r.has(kBias) ? &relativeBuckets(r.call.dim("buckets"), r.call.integer("maxDistance"), g.causal) : nullptr;
  double maximum = -INFINITY;
  for (size_t j = 0; j < keys.size(); ++j) {
    for (int64_t d = 0; d < g.headDim; ++d) scores[j] += q[d] * keys[j][d];
    if (buckets && j >= firstOwn) {
      scores[j] += r.in(kBias)[buckets->of(static_cast<int64_t>(j - firstOwn) - query) * g.heads + head];
    }
    maximum = std::max(maximum, scores[j]);
  }
  double sum = 0;
  for (double score : scores) sum += std::exp(score - maximum);
  const double logSumExp = maximum + std::log(sum);
  const int64_t row = s.oBegin + query;
  if (r.call.hasOut(kLogSumExp)) r.out(kLogSumExp)[row * g.heads + head] = logSumExp;
  const Dropout dropout = r.call.dropout();
  for (size_t j = 0; j < keys.size(); ++j) {
    double p = std::exp(scores[j] - logSumExp);
    if (dropout.active())
      p *= static_cast<double>(
          dropout.scale(static_cast<uint32_t>(static_cast<int64_t>(b) * g.heads + head), static_cast<uint32_t>(j)));
    for (int64_t d = 0; d < g.headDim; ++d) r.out(kO)[row * g.width + head * g.headDim + d] += p * values[j][d];
  }
}

using Attributes = std::vector<std::pair<std::string, Attribute>>;

/// A case in terms of sequences: offsets of queries and keys, and the optional segments.
struct Setup {
  std::string name;
  int64_t heads = 1, headDim = 8;
  IntList q = {}, k = {};
  int64_t tasks = 0, slots = 1, prefix = 0;  ///< tasks 0: no prefix
  IntList shared = {};                       ///< offsets of the shared segments
  int64_t buckets = 0;                       ///< 0: no bias
  int64_t sharedQueries = 0;                 ///< rows of q that every sequence uses
  Attributes attributes = {};
  std::string error = {};
  bool oneSign = false;  ///< values and gradients of o are all positive, and gradients are held to a tighter bound
};

OpCase caseOf(const Setup& s, bool bench) {
  const int64_t width = s.heads * s.headDim;
  // Scales q and k so that scores have the order of 1, as in trained models; products of noise grow with the head's
  // width.
  const double small = 1.0 / std::sqrt(std::sqrt(static_cast<double>(s.headDim)));
  const auto floats = [](Shape shape, double scale) { return CaseInput{std::move(shape), {}, scale}; };
  OpCase c;
  c.name = s.name;
  c.inputs.assign(8, std::nullopt);
  c.inputs[kQ] = floats({s.sharedQueries ? s.sharedQueries : s.q.back(), width}, small);
  c.inputs[kK] = floats({s.k.back(), width}, small);
  c.inputs[kV] = floats({s.k.back(), width}, 1.0);
  if (s.tasks > 0) {
    c.inputs[kPrefixKey] = floats({s.tasks, s.slots, s.prefix, width}, small);
    c.inputs[kPrefixValue] = floats({s.tasks, s.slots, s.prefix, width}, 1.0);
  }
  if (!s.shared.empty()) {
    c.inputs[kSharedKey] = floats({s.shared.back(), width}, small);
    c.inputs[kSharedValue] = floats({s.shared.back(), width}, 1.0);
  }
  if (s.buckets > 0) c.inputs[kBias] = floats({s.buckets, s.heads}, 1.0);
  c.attributes = s.attributes;
  c.attributes.emplace_back("numHeads", s.heads);
  c.attributes.emplace_back("qOffsets", s.q);
  c.attributes.emplace_back("kOffsets", s.k);
  c.attributes.emplace_back("sharedOffsets", s.shared);
  if (s.sharedQueries) c.attributes.emplace_back("sharedQueries", int64_t{1});
  c.bench = bench;
  c.error = s.error;
  if (s.oneSign) {
    for (const int value : {kV, kPrefixValue, kSharedValue})
      if (c.inputs[value]) c.inputs[value]->shift = 2.0;
    c.gradientShift = 1.0;
    c.gradientTolerance = 2e-6;
    // The rounding of o is relative to its values, but gradients of scores are relative to the differences of values.
    c.bf16GradientTolerance = 6e-2;
  }
  return c;
}

/// Offsets of `count` sequences whose lengths go through [shortest, longest] in turn.
IntList lengths(int32_t count, int32_t shortest, int32_t longest) {
  IntList offsets = {0};
  for (int32_t b = 0; b < count; ++b) offsets.push_back(offsets.back() + shortest + b * 37 % (longest - shortest + 1));
  return offsets;
}

IntList steps(int32_t count, int32_t step) {
  IntList offsets = {0};
  for (int32_t b = 0; b < count; ++b) offsets.push_back(offsets.back() + step);
  return offsets;
}

}  // namespace

OpReference reference_attention() {
  OpReference reference;
  // The backward pass subtracts sums over a row of the rounded o, which can exceed the difference.
  reference.bf16GradientTolerance = 3e-2;
  reference.forward = [](ReferenceCall& r) {
    const Geometry g(r.call);
    for (size_t b = 0; b < g.sequences.size(); ++b)
      for (int64_t query = 0; query < g.sequences[b].queries; ++query)
        for (int64_t head = 0; head < g.heads; ++head) attendReference(r, g, b, query, head);
  };
  const std::pair<std::string, Attribute> causal = {"causal", int64_t{1}}, rate = {"dropoutRate", 0.3},
                                          seed = {"dropoutSeed", 7.0}, site = {"dropoutSite", int64_t{3}};
  const auto tasks = [](IntList index) { return std::pair<std::string, Attribute>("taskIndex", std::move(index)); };
  const IntList t5 = lengths(32, 40, 160), small = steps(64, 20);
  const std::vector<Setup> tests = {
      {.name = "ragged, relative bias",
       .heads = 2,
       .headDim = 16,
       .q = {0, 5, 6, 40},
       .k = {0, 5, 6, 40},
       .buckets = 8},
      {.name = "an odd number of buckets", .q = {0, 30}, .k = {0, 30}, .buckets = 7},
      {.name = "causal, an odd number of buckets", .q = {0, 30}, .k = {0, 30}, .buckets = 7, .attributes = {causal}},
      {.name = "causal, longer than a block of queries and than maxDistance",
       .q = {0, 70},
       .k = {0, 70},
       .buckets = 6,
       .attributes = {causal, {"maxDistance", int64_t{20}}}},
      {.name = "longer than a tile of keys and a chunk of queries",
       .headDim = 64,
       .q = {0, 200},
       .k = {0, 270},
       .tasks = 1,
       .prefix = 3,
       .buckets = 32,
       .attributes = {rate, seed}},
      {.name = "causal over two tiles of keys",
       .headDim = 64,
       .q = {0, 262},
       .k = {0, 262},
       .buckets = 8,
       .attributes = {causal, rate, seed}},
      {.name = "tasks share prefixes, some use none of them",
       .heads = 3,
       .headDim = 3,
       .q = {0, 4, 4, 11, 13},
       .k = {0, 4, 7, 14, 16},
       .tasks = 3,
       .slots = 2,
       .prefix = 5,
       .buckets = 8,
       .attributes = {tasks({2, 0, 2, 0}), {"slot", int64_t{1}}}},
      {.name = "cross-attention on a shared segment, one task without",
       .heads = 2,
       .q = {0, 3, 9, 10},
       .k = {0, 17, 20, 20},
       .tasks = 2,
       .prefix = 1,
       .shared = {0, 9, 9},
       .attributes = {tasks({1, 1, 0})}},
      {.name = "prefix, shared segment and own keys, causal, dropout",
       .heads = 2,
       .headDim = 5,
       .q = {0, 13, 14},
       .k = {0, 13, 14},
       .tasks = 2,
       .prefix = 3,
       .shared = {0, 4, 21},
       .buckets = 4,
       .attributes = {tasks({1, 0}), causal, rate, seed, site}},
      {.name = "dropout, one mask for all queries",
       .heads = 2,
       .headDim = 16,
       .q = {0, 20, 33},
       .k = {0, 18, 40},
       .attributes = {rate, seed}},
      {.name = "queries shared by every sequence", .heads = 2, .k = {0, 6, 7, 20}, .sharedQueries = 53},
      {.name = "shared queries with prefix and bias",
       .headDim = 20,
       .k = {0, 6, 6},
       .tasks = 2,
       .prefix = 4,
       .buckets = 4,
       .sharedQueries = 9,
       .attributes = {tasks({1, 0})}},
      {.name = "one query per sequence",
       .heads = 2,
       .headDim = 12,
       .q = {0, 1, 2, 3},
       .k = {0, 9, 10, 31},
       .tasks = 1,
       .prefix = 6,
       .shared = {0, 5},
       .attributes = {rate, seed}},
      {.name = "one query at most, long segments that many share",
       .heads = 2,
       .q = {0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
       .k = {0, 9, 10, 31, 32, 33, 34, 35, 36, 37, 38, 38},
       .tasks = 2,
       .slots = 2,
       .prefix = 6,
       .shared = {0, 40, 140},
       .attributes = {tasks({1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1}), {"slot", int64_t{1}}}},
      {.name = "one query of a long sequence", .headDim = 5, .q = {0, 1}, .k = {0, 70}},
      {.name = "two queries, causal, see only the first keys",
       .headDim = 4,
       .q = {0, 1, 3},
       .k = {0, 7, 12},
       .buckets = 4,
       .attributes = {causal}},
      {.name = "heads of 64, causal over three tiles, most keys beyond maxDistance",
       .headDim = 64,
       .q = {0, 150},
       .k = {0, 150},
       .buckets = 8,
       .attributes = {causal, {"maxDistance", int64_t{20}}, rate, seed}},
      {.name = "heads of 128, ragged, every kind of key, bias on both sides",
       .heads = 2,
       .headDim = 128,
       .q = {0, 70, 71, 81},
       .k = {0, 120, 120, 133},
       .tasks = 2,
       .slots = 2,
       .prefix = 5,
       .shared = {0, 9, 50},
       .buckets = 8,
       .attributes = {tasks({1, 0, 1}), {"slot", int64_t{1}}, {"maxDistance", int64_t{12}}, rate, seed, site}},
      {.name = "heads of 80, dropout",
       .heads = 2,
       .headDim = 80,
       .q = {0, 33, 40},
       .k = {0, 33, 40},
       .buckets = 8,
       .attributes = {rate, seed}},
      {.name = "a task with more queries than one unit of work adds up",
       .k = {0, 3, 5, 6},
       .tasks = 1,
       .prefix = 3,
       .sharedQueries = 200},
      {.name = "sequences of one length, as padded ones are, whose scores pull one way",
       .headDim = 4,
       .q = steps(8, 64),
       .k = steps(8, 64),
       .buckets = 8,
       .attributes = {{"maxDistance", int64_t{16}}},
       .oneSign = true},
      {.name = "a prefix and an instruction that a hundred sequences share",
       .headDim = 4,
       .q = steps(100, 12),
       .k = steps(100, 2),
       .tasks = 1,
       .prefix = 2,
       .shared = {0, 3},
       .oneSign = true},
      {.name = "queries that thirty tasks share",
       .headDim = 4,
       .k = steps(30, 3),
       .sharedQueries = 20,
       .oneSign = true},
      {.name = "queries that ragged tasks share, with prefixes and dropout",
       .heads = 2,
       .k = {0,   1,   8,   78,  81,  97,  162, 164, 165, 172, 242, 245, 261, 326, 328, 329,
             336, 406, 409, 425, 490, 492, 493, 500, 570, 573, 589, 654, 656, 657, 664},
       .tasks = 3,
       .prefix = 5,
       .sharedQueries = 70,
       .attributes = {tasks({0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1}),
                      rate, seed}},
      {.name = "only a prefix to look at", .heads = 2, .q = {0, 5}, .k = {0, 0}, .tasks = 1, .prefix = 7},
      {.name = "empty prefix", .heads = 2, .q = {0, 5}, .k = {0, 5}, .tasks = 1},
      {.name = "sequences without queries",
       .q = {0, 0, 3, 3},
       .k = {0, 4, 8, 9},
       .tasks = 1,
       .prefix = 2,
       .buckets = 4},
      {.name = "no rows", .q = {0, 0}, .k = {0, 0}, .tasks = 1, .prefix = 2, .buckets = 4},
      {.name = "no sequences, no tasks", .q = {0}, .k = {0}, .shared = {0}},
      {.name = "a query that sees no key", .q = {0, 2, 3}, .k = {0, 2, 2}, .error = "INVALID_SHAPE"},
      {.name = "offsets that end early", .q = {0, 2, 4}, .k = {0, 3}, .error = "INVALID_SHAPE"},
      {.name = "a task that does not exist",
       .q = {0, 2},
       .k = {0, 2},
       .tasks = 2,
       .prefix = 1,
       .attributes = {tasks({2})},
       .error = "INVALID_ARGUMENT"},
      {.name = "a slot that does not exist",
       .q = {0, 2},
       .k = {0, 2},
       .tasks = 1,
       .prefix = 1,
       .attributes = {{"slot", int64_t{1}}},
       .error = "INVALID_ARGUMENT"},
      {.name = "too few buckets", .q = {0, 2}, .k = {0, 2}, .buckets = 3, .error = "INVALID_ARGUMENT"},
  };
  const std::vector<Setup> benches = {
      {.name = "T5-base encoder", .heads = 12, .headDim = 64, .q = t5, .k = t5, .buckets = 32},
      {.name = "T5-base encoder, prefix of 30, dropout",
       .heads = 12,
       .headDim = 64,
       .q = t5,
       .k = t5,
       .tasks = 1,
       .slots = 36,
       .prefix = 30,
       .buckets = 32,
       .attributes = {rate, seed}},
      {.name = "T5-base decoder, causal",
       .heads = 12,
       .headDim = 64,
       .q = t5,
       .k = t5,
       .buckets = 32,
       .attributes = {causal}},
      {.name = "1024 tokens", .heads = 12, .headDim = 64, .q = {0, 1024}, .k = {0, 1024}, .buckets = 32},
      {.name = "cross-attention to input and instruction",
       .heads = 12,
       .headDim = 64,
       .q = steps(32, 20),
       .k = t5,
       .shared = {0, 120}},
      {.name = "decode: one query per sequence",
       .heads = 12,
       .headDim = 64,
       .q = steps(64, 1),
       .k = steps(64, 100),
       .shared = {0, 120},
       .attributes = {{"training", int64_t{0}}}},
      {.name = "component embeddings", .heads = 12, .headDim = 64, .k = {0, 80}, .sharedQueries = 8192},
      {.name = "small model", .heads = 4, .headDim = 16, .q = small, .k = small, .buckets = 32},
      {.name = "small model, one sequence", .heads = 4, .headDim = 16, .q = {0, 12}, .k = {0, 12}, .buckets = 32},
  };
  for (const Setup& setup : tests) reference.cases.push_back(caseOf(setup, false));
  for (const Setup& setup : benches) reference.cases.push_back(caseOf(setup, true));
  return reference;
}

}  // namespace hint
