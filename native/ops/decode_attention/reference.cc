#include "native/ops/common/reference.h"

#include <algorithm>
#include <cmath>

#include "native/ops/common/relative_bucket.h"
#include "native/ops/decode_attention/decode_attention.h"

namespace hint {
namespace {

using namespace decode_attention;

void decodeReference(ReferenceCall& r) {
  const int64_t rows = r.call.dim("rows"), width = r.call.dim("width"), capacity = r.call.dim("capacity");
  const int64_t heads = r.call.integer("numHeads"), dim = width / heads, position = r.call.ids(kPosition)[0];
  const int64_t prefix = r.has(kPrefixKey) ? r.call.dim("prefix") : 0;
  const IntList& taskIndex = r.call.list("taskIndex");
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t d = 0; d < width; ++d) {
      r.in(kKeyCache)[(row * capacity + position) * width + d] = r.in(kK)[row * width + d];
      r.in(kValueCache)[(row * capacity + position) * width + d] = r.in(kV)[row * width + d];
    }
    for (int64_t head = 0; head < heads; ++head) {
      std::vector<const double*> keys, values;
      const int64_t task = taskIndex.empty() ? 0 : taskIndex[static_cast<size_t>(row)];
      for (int64_t j = 0; j < prefix; ++j) {
        const int64_t from = ((task * r.call.dim("slots") + r.call.integer("slot")) * prefix + j) * width + head * dim;
        keys.push_back(r.in(kPrefixKey) + from);
        values.push_back(r.in(kPrefixValue) + from);
      }
      const auto segment = [&](int key, int value, const char* offsets, const char* index) {
        if (!r.has(key)) return;
        const RowRange range = rowsOf(r.call, offsets, index, row);
        for (int64_t j = range.begin; j < range.begin + range.count; ++j) {
          keys.push_back(r.in(key) + j * width + head * dim);
          values.push_back(r.in(value) + j * width + head * dim);
        }
      };
      segment(kSharedKey, kSharedValue, "sharedOffsets", "taskIndex");
      segment(kContextKey, kContextValue, "contextOffsets", "contextIndex");
      const int64_t fixed = static_cast<int64_t>(keys.size());
      for (int64_t j = 0; j <= position; ++j) {
        const int64_t from = (row * capacity + j) * width + head * dim;
        keys.push_back(r.in(kKeyCache) + from);
        values.push_back(r.in(kValueCache) + from);
      }
      std::vector<double> scores(keys.size());
      double maximum = -INFINITY, sum = 0;
      for (size_t j = 0; j < keys.size(); ++j) {
        for (int64_t d = 0; d < dim; ++d) scores[j] += r.in(kQ)[row * width + head * dim + d] * keys[j][d];
        if (r.has(kBias) && static_cast<int64_t>(j) >= fixed) {
          const RelativeBuckets& buckets = relativeBuckets(r.call.dim("buckets"), r.call.integer("maxDistance"), true);
          scores[j] += r.in(kBias)[buckets.of(static_cast<int64_t>(j) - fixed - position) * heads + head];
        }
        maximum = std::max(maximum, scores[j]);
      }
      for (double score : scores) sum += std::exp(score - maximum);
      for (size_t j = 0; j < keys.size(); ++j)
        for (int64_t d = 0; d < dim; ++d)
          r.out(kO)[row * width + head * dim + d] += std::exp(scores[j] - maximum) / sum * values[j][d];
    }
  }
}

/// `tasks` 0 means no prefix, `buckets` 0 no bias.
OpCase caseOf(const std::string& name, int64_t rows, int64_t capacity, int32_t position, int64_t heads, int64_t dim,
              int64_t tasks, int64_t prefix, int64_t buckets, IntList taskIndex = {}, std::string error = {}) {
  const int64_t width = heads * dim;
  const double scale = 1.0 / std::sqrt(std::sqrt(static_cast<double>(dim)));
  OpCase c;
  c.name = name;
  c.inputs.assign(13, std::nullopt);
  for (int i : {kQ, kK, kV}) c.inputs[static_cast<size_t>(i)] = CaseInput{{rows, width}, {}, scale};
  for (int i : {kKeyCache, kValueCache})
    c.inputs[static_cast<size_t>(i)] = CaseInput{{rows, capacity, width}, {}, scale};
  c.inputs[kPosition] = CaseInput{{1}, {position}};
  if (tasks)
    for (int i : {kPrefixKey, kPrefixValue})
      c.inputs[static_cast<size_t>(i)] = CaseInput{{tasks, 2, prefix, width}, {}, scale};
  if (buckets) c.inputs[kBias] = CaseInput{{buckets, heads}};
  c.attributes = {{"numHeads", heads}, {"taskIndex", std::move(taskIndex)}};
  if (tasks) c.attributes.emplace_back("slot", int64_t{1});
  c.error = std::move(error);
  return c;
}

/// Adds shared segments of tasks and contexts of rows, by their offsets, to a case.
OpCase withFixedKeys(OpCase c, IntList shared, IntList contexts, IntList contextIndex) {
  const Shape& q = c.inputs[kQ]->shape;
  const double scale = c.inputs[kQ]->scale;
  const auto rows = [&](const IntList& offsets) { return CaseInput{{offsets.back(), q[1]}, {}, scale}; };
  if (!shared.empty())
    for (int i : {kSharedKey, kSharedValue}) c.inputs[static_cast<size_t>(i)] = rows(shared);
  if (!contexts.empty())
    for (int i : {kContextKey, kContextValue}) c.inputs[static_cast<size_t>(i)] = rows(contexts);
  c.attributes.emplace_back("sharedOffsets", std::move(shared));
  c.attributes.emplace_back("contextOffsets", std::move(contexts));
  c.attributes.emplace_back("contextIndex", std::move(contextIndex));
  return c;
}

IntList steps(int32_t count, int32_t step) {
  IntList offsets = {0};
  for (int32_t i = 0; i < count; ++i) offsets.push_back(offsets.back() + step);
  return offsets;
}

IntList upTo(int32_t count) {
  IntList index;
  for (int32_t i = 0; i < count; ++i) index.push_back(i);
  return index;
}

}  // namespace

OpReference reference_decode_attention() {
  OpReference reference;
  reference.forward = decodeReference;
  reference.cases = {
      caseOf("first token of rows with prefixes of two tasks", 3, 5, 0, 2, 8, 2, 7, 8, {1, 0, 1}),
      caseOf("last place of the cache", 2, 9, 8, 3, 3, 1, 2, 6),
      caseOf("no prefix, no bias", 2, 6, 3, 2, 16, 0, 0, 0),
      caseOf("beyond the last bucket border", 1, 160, 150, 2, 5, 0, 0, 32),
      caseOf("empty prefix", 1, 4, 2, 1, 4, 1, 0, 4),
      withFixedKeys(caseOf("instructions of two tasks, inputs of every row", 3, 5, 2, 2, 8, 0, 0, 0, {1, 0, 1}),
                    {0, 7, 9}, {0, 3, 20, 21}, {0, 1, 2}),
      withFixedKeys(caseOf("rows of one input, in another order, one empty", 4, 5, 0, 1, 5, 0, 0, 0), {0, 3},
                    {0, 0, 4, 6}, {2, 0, 0, 1}),
      withFixedKeys(caseOf("prefix, instruction, input and bias", 2, 6, 3, 2, 8, 2, 3, 8, {1, 0}), {0, 2, 19},
                    {0, 1, 5}, {0, 1}),
      withFixedKeys(caseOf("inputs without instructions", 2, 6, 5, 2, 8, 0, 0, 0), {}, {0, 18, 20}, {1, 0}),
      withFixedKeys(caseOf("an instruction of several parts that many rows share", 10, 5, 2, 2, 8, 2, 3, 8,
                           {1, 0, 1, 1, 0, 1, 1, 1, 1, 1}),
                    {0, 40, 140}, {0, 3, 20, 21}, {0, 1, 2, 0, 1, 2, 0, 1, 2, 0}),
      withFixedKeys(
          caseOf("one input of several parts that rows of two tasks share", 6, 5, 2, 1, 5, 2, 3, 8, {1, 0, 1, 1, 0, 0}),
          {0, 40, 110}, {0, 90}, {}),
      withFixedKeys(caseOf("one row, long instruction and long input", 1, 6, 3, 1, 5, 0, 0, 8), {0, 70}, {0, 90}, {}),
      caseOf("no rows", 0, 4, 2, 2, 4, 1, 3, 4),
      caseOf("cache is full", 2, 4, 4, 1, 4, 0, 0, 0, {}, "INVALID_SHAPE"),
      caseOf("negative position", 2, 4, -1, 1, 4, 0, 0, 0, {}, "INVALID_SHAPE"),
      caseOf("a row of a task that does not exist", 2, 4, 0, 1, 4, 2, 3, 0, {0, 2}, "INVALID_ARGUMENT"),
      withFixedKeys(caseOf("an input that does not exist", 2, 4, 0, 1, 4, 0, 0, 0, {}, "INVALID_ARGUMENT"), {},
                    {0, 1, 2}, {0, 2}),
      withFixedKeys(caseOf("offsets that decrease", 1, 4, 0, 1, 4, 0, 0, 0, {}, "INVALID_SHAPE"), {0, 3, 1, 2}, {}, {}),
      caseOf("T5-base, 64 rows at position 50", 64, 128, 50, 12, 64, 1, 30, 32),
      caseOf("T5-base, one row at position 50", 1, 128, 50, 12, 64, 1, 30, 32),
      caseOf("small model, 64 rows", 64, 32, 10, 4, 16, 0, 0, 32),
      withFixedKeys(caseOf("GPT-2, 64 rows, instruction of 200, inputs of 100", 64, 32, 10, 12, 64, 0, 0, 0), {0, 200},
                    steps(64, 100), upTo(64)),
  };
  for (size_t i = reference.cases.size() - 4; i < reference.cases.size(); ++i) reference.cases[i].bench = true;
  return reference;
}

}  // namespace hint
