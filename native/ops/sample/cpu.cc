#include <algorithm>
#include <cmath>
#include <vector>

#include "native/core/error.h"
#include "native/ops/common/logits_row.h"
#include "native/ops/sample/sample.h"
#include "native/runtime/parallel.h"

namespace hint::sample {
namespace {

struct Choice {
  int64_t id = -1;
  float logProb = 0;
};

/// A row of logits as weights exp((logit - maximum) / temperature), of which the largest is 1.
struct Row {
  const float* logits;
  int64_t vocab;
  float maximum;
  float inverseTemperature;

  double weight(int64_t id) const {
    return std::exp(static_cast<double>(inverseTemperature) * (static_cast<double>(logits[id]) - maximum));
  }
  double total() const { return sumOfExponentials(logits, vocab, maximum, inverseTemperature); }
};

/// The first token whose cumulative weight passes `target`; `tokens` is the choice, most probable first.
int64_t pick(const Row& row, const std::vector<int32_t>& tokens, size_t count, double target) {
  double passed = 0;
  for (size_t i = 0; i < count; ++i)
    if ((passed += row.weight(tokens[i])) > target) return tokens[i];
  return tokens[count - 1];
}

/// The same for the whole vocabulary, in the order of the ids.
int64_t pickOfAll(const Row& row, double target) {
  constexpr int64_t kBlock = 1024;
  double passed = 0;
  int64_t last = firstEqual(row.logits, row.maximum, row.vocab);
  for (int64_t block = 0; block < row.vocab; block += kBlock) {
    const int64_t end = std::min(block + kBlock, row.vocab);
    const double sum = sumOfExponentials(row.logits + block, end - block, row.maximum, row.inverseTemperature);
    if (passed + sum <= target) {
      passed += sum;
      continue;
    }
    for (int64_t id = block; id < end; ++id) {
      const double weight = row.weight(id);
      if (weight > 0) last = id;
      if ((passed += weight) > target) return id;
    }
  }
  return last;
}

/// How many of the most probable `tokens` it takes to reach `mass`; one more than there are when they do not.
size_t reach(const Row& row, const std::vector<int32_t>& tokens, double mass) {
  double passed = 0;
  for (size_t i = 0; i < tokens.size(); ++i)
    if ((passed += row.weight(tokens[i])) >= mass) return i + 1;
  return tokens.size() + 1;
}

double sumOf(const Row& row, const std::vector<int32_t>& tokens, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += row.weight(tokens[i]);
  return sum;
}

int64_t draw(const Row& row, int64_t topK, double topP, double uniform) {
  const bool narrow = topK > 0 && topK < row.vocab;
  if (!narrow && topP >= 1) return pickOfAll(row, uniform * row.total());
  if (narrow) {
    const std::vector<int32_t> tokens = largestLogits(row.logits, row.vocab, topK);
    size_t count = tokens.size();
    if (topP < 1) count = std::min(count, reach(row, tokens, topP * sumOf(row, tokens, count)));
    return pick(row, tokens, count, uniform * sumOf(row, tokens, count));
  }
  // Few tokens usually hold most of the mass, so sorting all of them is rare.
  const double mass = topP * row.total();
  for (int64_t tried = 64;; tried *= 8) {
    const std::vector<int32_t> tokens = largestLogits(row.logits, row.vocab, std::min(tried, row.vocab));
    size_t count = reach(row, tokens, mass);
    if (count > tokens.size() && tried < row.vocab) continue;
    count = std::min(count, tokens.size());
    return pick(row, tokens, count, uniform * sumOf(row, tokens, count));
  }
}

}  // namespace

void forward(Call& call) {
  const int64_t rows = call.dim("rows"), vocab = call.dim("vocab"), capacity = call.dim("capacity");
  const auto eos = static_cast<int32_t>(call.integer("eosId"));
  const double temperature = call.number("temperature"), topP = call.number("topP");
  const int64_t topK = call.integer("topK");
  const auto seed = static_cast<uint64_t>(call.number("seed"));
  const float* logits = call.f(kLogits);
  int32_t *token = call.in(kToken).data<int32_t>(), *finished = call.in(kFinished).data<int32_t>();
  int32_t *tokens = call.in(kTokens).data<int32_t>(), *stop = call.in(kStop).data<int32_t>();
  float* logProbs = call.in(kLogProbs).data<float>();
  int32_t* position = call.in(kPosition).data<int32_t>();
  if (*position < 0 || *position >= capacity)
    fail("INVALID_SHAPE", call.describe(), ": position ", *position, " is outside the ", capacity,
         " columns of tokens; allocate more or stop earlier.");

  std::vector<Choice> chosen(static_cast<size_t>(rows));
  parallelFor(rows, rowGrain(vocab), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Choice& choice = chosen[static_cast<size_t>(i)];
      const float* x = logits + i * vocab;
      if (finished[i]) {
        choice.id = 0;
        continue;
      }
      bool nan = false;
      const float maximum = largestLogit(x, vocab, &nan);
      if (nan || !std::isfinite(maximum)) continue;
      if (temperature == 0) {
        choice.id = firstEqual(x, maximum, vocab);
      } else {
        // Below this temperature only the maximum has a probability; the bound keeps the inverse finite.
        const Row row{x, vocab, maximum, static_cast<float>(1 / std::max(temperature, 1e-30))};
        choice.id = draw(row, topK, topP, uniform(seed, call.ids(kStream) + 2 * i, *position));
      }
      choice.logProb = (x[choice.id] - maximum) - static_cast<float>(std::log(sumOfExponentials(x, vocab, maximum)));
    }
  });
  for (int64_t row = 0; row < rows; ++row)
    if (chosen[static_cast<size_t>(row)].id < 0)
      fail("NUMERIC", call.describe(), ": the logits of row ", row,
           " contain NaN or give no probabilities; check the weights and the input.");

  bool all = true;
  for (int64_t row = 0; row < rows; ++row) {
    const Choice& choice = chosen[static_cast<size_t>(row)];
    token[row] = tokens[row * capacity + *position] = static_cast<int32_t>(choice.id);
    logProbs[row * capacity + *position] = choice.logProb;
    if (!finished[row]) finished[row] = token[row] == eos;
    all = all && finished[row];
  }
  *position += 1;
  *stop = all || *position == capacity;
}

}  // namespace hint::sample
