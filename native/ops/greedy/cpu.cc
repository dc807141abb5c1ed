#include <vector>

#include "native/ops/elementwise.h"
#include "native/ops/greedy/greedy.h"
#include "native/runtime/error.h"
#include "native/runtime/parallel.h"

namespace hint::greedy {
namespace {

constexpr int kLanes = 64;
constexpr int32_t kNaN = -1;

/// The largest value by lanes, and whether any is NaN: (x != x) is kept as a mask of ones.
HINT_CLONES float largest(const float* x, int64_t count, int32_t* nan) {
  float lanes[kLanes];
  int32_t unordered[kLanes] = {};
  for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = x[0];
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) {
      const float value = x[i + lane];
      lanes[lane] = value > lanes[lane] ? value : lanes[lane];
      unordered[lane] |= value != value;
    }
  for (; i < count; ++i) {
    lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
    unordered[0] |= x[i] != x[i];
  }
  float result = lanes[0];
  for (int lane = 0; lane < kLanes; ++lane) {
    result = lanes[lane] > result ? lanes[lane] : result;
    *nan |= unordered[lane];
  }
  return result;
}

HINT_CLONES int32_t countEqual(const float* x, float value, int64_t count) {
  int32_t equal = 0;
  for (int64_t i = 0; i < count; ++i) equal += x[i] == value;
  return equal;
}

/// Index of the first largest value, kNaN when there is a NaN.
int32_t argmax(const float* x, int64_t count) {
  int32_t nan = 0;
  const float value = largest(x, count, &nan);
  if (nan) return kNaN;
  // Whole blocks are ruled out by a vectorised count; only the block that has the value is searched.
  constexpr int64_t kBlock = 1024;
  int64_t i = 0;
  while (i + kBlock < count && countEqual(x + i, value, kBlock) == 0) i += kBlock;
  while (x[i] != value) ++i;
  return static_cast<int32_t>(i);
}

}  // namespace

void forward(Call& call) {
  const int64_t rows = call.dim("rows"), vocab = call.dim("vocab"), capacity = call.dim("capacity");
  const auto eos = static_cast<int32_t>(call.integer("eosId"));
  const float* logits = call.f(kLogits);
  int32_t *token = call.in(kToken).data<int32_t>(), *finished = call.in(kFinished).data<int32_t>();
  int32_t *tokens = call.in(kTokens).data<int32_t>(), *stop = call.in(kStop).data<int32_t>();
  int32_t* position = call.in(kPosition).data<int32_t>();
  if (*position < 0 || *position >= capacity)
    fail("INVALID_SHAPE", call.describe(), ": position ", *position, " is outside the ", capacity,
         " columns of tokens; allocate more or stop earlier.");

  std::vector<int32_t> chosen(static_cast<size_t>(rows), 0);
  parallelFor(rows, rowGrain(vocab), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      if (!finished[row]) chosen[static_cast<size_t>(row)] = argmax(logits + row * vocab, vocab);
  });
  for (int64_t row = 0; row < rows; ++row)
    if (chosen[static_cast<size_t>(row)] == kNaN)
      fail("NUMERIC", call.describe(), ": the logits of row ", row, " contain NaN; check the weights and the input.");

  bool all = true;
  for (int64_t row = 0; row < rows; ++row) {
    token[row] = chosen[static_cast<size_t>(row)];
    tokens[row * capacity + *position] = token[row];
    if (!finished[row]) finished[row] = token[row] == eos;
    all = all && finished[row];
  }
  *position += 1;
  *stop = all || *position == capacity;
}

}  // namespace hint::greedy
