#include "native/ops/reference.h"

#include <cmath>

#include "native/ops/attention/attention.h"
#include "native/ops/attention/geometry.h"
#include "native/ops/relative_bucket.h"

namespace hint {
namespace {

using namespace attention;

/// One query of one head: every key in order, exactly as the contract words it.
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
  double maximum = -INFINITY;
  for (size_t j = 0; j < keys.size(); ++j) {
    for (int64_t d = 0; d < g.headDim; ++d) scores[j] += q[d] * keys[j][d];
    if (r.has(kBias) && j >= firstOwn) {
      const RelativeBuckets buckets(r.call.dim("buckets"), r.call.integer("maxDistance"), g.causal);
      scores[j] += r.in(kBias)[buckets.of(static_cast<int64_t>(j - firstOwn) - query) * g.heads + head];
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

/// Inputs of a case. `context` of zero rows in all means no prefix or no shared segment.
struct Setup {
  std::string name;
  int64_t heads, headDim;
  IntList qOffsets, kOffsets;
  int64_t tasks = 0, slots = 2, prefix = 0;
  IntList sharedOffsets = {};
  int64_t buckets = 0;
  int64_t sharedQueryRows = 0;
  std::vector<std::pair<std::string, Attribute>> attributes = {};
  bool bench = false;
};

OpCase caseOf(const Setup& s) {
  const int64_t width = s.heads * s.headDim, qRows = s.sharedQueryRows ? s.sharedQueryRows : s.qOffsets.back();
  // Scores of order 1, as trained models have them: products of two noisy vectors grow with the head's width.
  const double scale = 1.0 / std::sqrt(std::sqrt(static_cast<double>(s.headDim)));
  const auto floats = [](Shape shape, double scale) { return CaseInput{std::move(shape), {}, scale}; };
  OpCase c;
  c.name = s.name;
  c.inputs.assign(8, std::nullopt);
  c.inputs[kQ] = floats({qRows, width}, scale);
  c.inputs[kK] = floats({s.kOffsets.back(), width}, scale);
  c.inputs[kV] = floats({s.kOffsets.back(), width}, 1.0);
  if (s.prefix > 0 || (s.tasks > 0 && s.sharedOffsets.empty())) {
    c.inputs[kPrefixKey] = floats({s.tasks, s.slots, s.prefix, width}, scale);
    c.inputs[kPrefixValue] = floats({s.tasks, s.slots, s.prefix, width}, 1.0);
  }
  if (!s.sharedOffsets.empty()) {
    c.inputs[kSharedKey] = floats({s.sharedOffsets.back(), width}, scale);
    c.inputs[kSharedValue] = floats({s.sharedOffsets.back(), width}, 1.0);
  }
  if (s.buckets > 0) c.inputs[kBias] = floats({s.buckets, s.heads}, 1.0);
  c.attributes = s.attributes;
  c.attributes.emplace_back("numHeads", s.heads);
  c.attributes.emplace_back("qOffsets", s.qOffsets);
  c.attributes.emplace_back("kOffsets", s.kOffsets);
  c.attributes.emplace_back("sharedOffsets", s.sharedOffsets);
  c.bench = s.bench;
  return c;
}

/// Offsets of `count` sequences whose lengths walk through [shortest, longest].
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
  reference.forward = [](ReferenceCall& r) {
    const Geometry g(r.call);
    for (size_t b = 0; b < g.sequences.size(); ++b)
      for (int64_t query = 0; query < g.sequences[b].queries; ++query)
        for (int64_t head = 0; head < g.heads; ++head) attendReference(r, g, b, query, head);
  };
  const int64_t one = 1;
  const std::vector<std::pair<std::string, Attribute>> causal = {{"causal", one}},
                                                       drop = {{"dropoutRate", 0.3}, {"dropoutSeed", 7.0}},
                                                       shared = {{"sharedQueries", one}};
  const IntList t5 = lengths(32, 40, 160);
  const std::vector<Setup> setups = {
      {"ragged, relative bias", 2, 16, {0, 5, 6, 40}, {0, 5, 6, 40}, 0, 0, 0, {}, 8},
      {"causal, longer than a tile and than maxDistance",
       1,
       8,
       {0, 70},
       {0, 70},
       0,
       0,
       0,
       {},
       6,
       0,
       {{"causal", one}, {"maxDistance", int64_t{20}}}},
      {"tasks share prefixes, some use none of them",
       3,
       3,
       {0, 4, 4, 11, 13},
       {0, 4, 7, 14, 16},
       3,
       2,
       5,
       {},
       8,
       0,
       {{"taskIndex", IntList{2, 0, 2, 0}}, {"slot", one}}},
      {"cross-attention on a shared segment, one task without",
       2,
       8,
       {0, 3, 9, 10},
       {0, 17, 20, 20},
       2,
       2,
       0,
       {0, 9, 9},
       0,
       0,
       {{"taskIndex", IntList{1, 1, 0}}}},
      {"prefix, shared segment and own keys, causal, dropout",
       2,
       5,
       {0, 13, 14},
       {0, 13, 14},
       2,
       1,
       3,
       {0, 4, 21},
       4,
       0,
       {{"taskIndex", IntList{1, 0}},
        {"causal", one},
        {"dropoutRate", 0.3},
        {"dropoutSeed", 9.0},
        {"dropoutSite", int64_t{3}}}},
      {"dropout, one mask for all queries", 2, 16, {0, 20, 33}, {0, 18, 40}, 0, 0, 0, {}, 0, 0, drop},
      {"queries shared by every sequence", 2, 8, {}, {0, 6, 7, 20}, 0, 0, 0, {}, 0, 53, shared},
      {"shared queries with prefix and bias",
       1,
       20,
       {},
       {0, 6, 6},
       2,
       1,
       4,
       {},
       4,
       9,
       {{"sharedQueries", one}, {"taskIndex", IntList{1, 0}}}},
      {"one query per sequence", 2, 12, {0, 1, 2, 3}, {0, 9, 10, 31}, 1, 2, 6, {0, 5}, 0, 0, drop},
      {"one query, causal, sees only the first key", 1, 4, {0, 1, 3}, {0, 7, 12}, 0, 0, 0, {}, 4, 0, causal},
      {"only a prefix to look at", 2, 4, {0, 5}, {0, 0}, 1, 1, 7},
      {"empty prefix", 2, 4, {0, 5}, {0, 5}, 1, 1, 0},
      {"sequences without queries", 1, 8, {0, 0, 3, 3}, {0, 4, 8, 9}, 1, 1, 2, {}, 4},
      {"no rows", 2, 8, {0, 0}, {0, 0}, 1, 1, 2, {}, 4},
      {"T5-base encoder", 12, 64, t5, t5, 0, 0, 0, {}, 32, 0, {}, true},
      {"T5-base encoder, prefix of 30, dropout",
       12,
       64,
       t5,
       t5,
       1,
       36,
       30,
       {},
       32,
       0,
       {{"dropoutRate", 0.1}, {"dropoutSeed", 1.0}},
       true},
      {"T5-base decoder, causal", 12, 64, t5, t5, 0, 0, 0, {}, 32, 0, causal, true},
      {"1024 tokens", 12, 64, {0, 1024}, {0, 1024}, 0, 0, 0, {}, 32, 0, {}, true},
      {"cross-attention to input and instruction", 12, 64, steps(32, 20), t5, 1, 1, 0, {0, 120}, 0, 0, {}, true},
      {"decode: one query per sequence",
       12,
       64,
       steps(64, 1),
       steps(64, 100),
       1,
       1,
       0,
       {0, 120},
       0,
       0,
       {{"training", int64_t{0}}},
       true},
      {"component embeddings", 12, 64, {}, {0, 80}, 0, 0, 0, {}, 0, 8192, shared, true},
      {"small model", 4, 16, steps(64, 20), steps(64, 20), 0, 0, 0, {}, 32, 0, {}, true},
      {"small model, one sequence", 4, 16, {0, 12}, {0, 12}, 0, 0, 0, {}, 32, 0, {}, true},
  };
  for (const Setup& setup : setups) reference.cases.push_back(caseOf(setup));
  return reference;
}

}  // namespace hint
