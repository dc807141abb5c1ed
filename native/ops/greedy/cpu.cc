#include <vector>

#include "native/core/error.h"
#include "native/ops/common/logits_row.h"
#include "native/ops/greedy/greedy.h"
#include "native/runtime/parallel.h"

namespace hint::greedy {
namespace {

constexpr int32_t kNaN = -1;

/// Index of the first largest value, kNaN when there is a NaN.
int32_t argmax(const float* x, int64_t count) {
  bool nan = false;
  const float value = largestLogit(x, count, &nan);
  return nan ? kNaN : static_cast<int32_t>(firstEqual(x, value, count));
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
