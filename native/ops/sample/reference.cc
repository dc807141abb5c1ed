#include "native/ops/common/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "native/ops/sample/sample.h"

namespace hint {
namespace {

using namespace sample;

std::vector<int64_t> byProbability(const double* logits, int64_t vocab) {
  std::vector<int64_t> order(static_cast<size_t>(vocab));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return logits[a] > logits[b]; });
  return order;
}

/// The definition, step by step: temperature, topK, topP, then the inverse of the cumulative distribution.
int64_t drawn(const ReferenceCall& r, const double* logits, int64_t vocab, double uniform) {
  const double temperature = r.call.number("temperature"), topP = r.call.number("topP");
  std::vector<int64_t> order = byProbability(logits, vocab);
  if (temperature == 0) return order[0];
  const double maximum = logits[order[0]];
  const auto weight = [&](int64_t id) { return std::exp((logits[id] - maximum) / temperature); };
  if (r.call.integer("topK") > 0) order.resize(static_cast<size_t>(std::min(vocab, r.call.integer("topK"))));
  double total = 0, kept = 0;
  for (int64_t id : order) total += weight(id);
  size_t count = 0;
  while (count < order.size() && (count == 0 || kept < topP * total)) kept += weight(order[count++]);
  if (topP < 1)
    order.resize(count);
  else if (static_cast<int64_t>(order.size()) == vocab)
    std::sort(order.begin(), order.end());
  total = 0;
  for (int64_t id : order) total += weight(id);
  double passed = 0;
  for (int64_t id : order)
    if ((passed += weight(id)) > uniform * total) return id;
  return order.back();
}

void sampleReference(ReferenceCall& r) {
  const int64_t rows = r.call.dim("rows"), vocab = r.call.dim("vocab"), capacity = r.call.dim("capacity");
  const auto position = static_cast<int64_t>(r.in(kPosition)[0]);
  const auto seed = static_cast<uint64_t>(r.call.number("seed"));
  bool all = true;
  for (int64_t row = 0; row < rows; ++row) {
    const double* logits = r.in(kLogits) + row * vocab;
    int64_t id = 0;
    double logProb = 0;
    if (r.in(kFinished)[row] == 0) {
      id = drawn(r, logits, vocab, uniform(seed, r.call.ids(kStream) + 2 * row, position));
      const double maximum = *std::max_element(logits, logits + vocab);
      double sum = 0;
      for (int64_t i = 0; i < vocab; ++i) sum += std::exp(logits[i] - maximum);
      logProb = logits[id] - maximum - std::log(sum);
      if (id == r.call.integer("eosId")) r.in(kFinished)[row] = 1;
    }
    r.in(kToken)[row] = r.in(kTokens)[row * capacity + position] = static_cast<double>(id);
    r.in(kLogProbs)[row * capacity + position] = logProb;
    all = all && r.in(kFinished)[row] != 0;
  }
  r.in(kPosition)[0] += 1;
  r.in(kStop)[0] = all || r.in(kPosition)[0] == static_cast<double>(capacity);
}

OpCase caseOf(const char* name, CaseInput logits, std::vector<std::pair<std::string, Attribute>> attributes,
              IntList finished = {}, int32_t position = 1, std::string error = {}) {
  const int64_t rows = logits.shape[0], capacity = 4;
  IntList streams;
  for (int32_t row = 0; row < rows; ++row) streams.insert(streams.end(), {row * 77777 - 5, row % 3});
  finished.resize(static_cast<size_t>(rows), 0);
  OpCase c;
  c.name = name;
  c.inputs = {logits,
              {{{rows, 2}, std::move(streams)}},
              {{{rows}}},
              {{{rows}, std::move(finished)}},
              {{{rows, capacity}}},
              {{{rows, capacity}}},
              {{{1}, {position}}},
              {{{1}}}};
  c.attributes = std::move(attributes);
  c.error = std::move(error);
  return c;
}

}  // namespace

OpReference reference_sample() {
  OpReference reference;
  reference.forward = sampleReference;
  const CaseInput wide{{9, 9001}, {}, 3.0}, small{{12, 37}, {}, 2.0}, one{{1, 1}};
  const double nan = std::numeric_limits<double>::quiet_NaN(), half = 0.5;
  const Attribute k5 = int64_t{5}, eos0 = int64_t{0}, many = int64_t{1000000};
  reference.cases = {
      caseOf("the whole vocabulary, split between threads", wide, {{"seed", 7.0}}),
      caseOf("the whole vocabulary, many rows", small, {{"seed", 9007199254740991.0}}),
      caseOf("a low and a high temperature: low", small, {{"temperature", 0.3}, {"seed", 1.0}}),
      caseOf("a low and a high temperature: high", wide, {{"temperature", 4.0}, {"seed", 1.0}}),
      caseOf("temperature 0 takes the most probable", wide, {{"temperature", 0.0}}),
      caseOf("temperature 0 takes the first of equal logits", {{2, 2500}, {}, 0.0, 3.0}, {{"temperature", 0.0}}),
      caseOf("topK", small, {{"topK", k5}, {"seed", 2.0}}),
      caseOf("topK of more than the vocabulary", small, {{"topK", many}, {"seed", 2.0}}),
      caseOf("topP", small, {{"topP", 0.7}, {"seed", 3.0}}),
      caseOf("topP that takes most of a flat vocabulary", {{4, 5000}, {}, 0.1}, {{"topP", 0.95}, {"seed", 3.0}}),
      caseOf("topP so small that one token remains", wide, {{"topP", 1e-6}, {"seed", 3.0}}),
      caseOf("topK, topP and temperature", small, {{"topK", k5}, {"topP", 0.8}, {"temperature", 1.5}, {"seed", 4.0}}),
      caseOf("a finished row yields padding", {{3, 129}}, {{"seed", 5.0}}, {0, 1, 0}, 3),
      caseOf("end of sequence finishes the last row", {{2, 16}, {}, 0.0, 1.0}, {{"eosId", eos0}, {"temperature", 0.0}},
             {0, 1}),
      caseOf("one token", one, {}),
      caseOf("no rows", {{0, 16}}, {}),
      caseOf("NaN is refused", {{2, 16}, {}, 0.0, nan}, {}, {1, 0}, 0, "NUMERIC"),
      caseOf("a full sequence is refused", {{2, 16}}, {}, {}, 4, "INVALID_SHAPE"),
      caseOf("a negative temperature is refused", one, {{"temperature", -half}}, {}, 0, "INVALID_ARGUMENT"),
      caseOf("topP 0 is refused", one, {{"topP", 0.0}}, {}, 0, "INVALID_ARGUMENT"),
      caseOf("a seed that is no integer is refused", one, {{"seed", half}}, {}, 0, "INVALID_ARGUMENT"),
      caseOf("T5-base, 16 rows", {{16, 32128}, {}, 3.0}, {}),
      caseOf("T5-base, 16 rows, topP", {{16, 32128}, {}, 3.0}, {{"topP", 0.9}}),
  };
  for (size_t i = reference.cases.size() - 2; i < reference.cases.size(); ++i) reference.cases[i].bench = true;
  return reference;
}

}  // namespace hint
