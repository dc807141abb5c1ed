#include <algorithm>
#include <vector>

#include "native/core/error.h"
#include "native/core/planted_fault.h"
#include "native/math/bf16.h"
#include "native/ops/common/elementwise.h"
#include "native/ops/common/long_sums.h"
#include "native/ops/embedding/embedding.h"
#include "native/runtime/cpu/widened_call.h"
#include "native/runtime/parallel.h"

namespace hint::embedding {
namespace {

/// The most occurrences of an id that are added in the gradient itself; more are summed in double first.
constexpr int64_t kFewOccurrences = 8;

/// Rows without elements have null pointers, which memcpy must not get.
template <typename Word>
void copyRow(const Word* from, Word* to, int64_t count) {
  std::copy_n(from, count, to);
}

void checkIds(const Call& call) {
  const int64_t rows = call.dim("rows"), vocab = call.dim("vocab");
  const int32_t* ids = call.ids(kIds);
  for (int64_t row = 0; row < rows; ++row)
    if (ids[row] < 0 || ids[row] >= vocab + (isPlanted(PlantedFault::bounds) ? 1 : 0))
      fail("INVALID_TOKEN", call.describe(), ": id ", ids[row], " at position ", row, " is outside the vocabulary of ",
           vocab, " rows; encode the text with this model's tokenizer.");
}

/// Converts the rows of the ids only, because a table is large.
template <typename From, typename To>
void gather(const Call& call, void (*convert)(const From*, To*, int64_t)) {
  const int64_t d = call.dim("d");
  const int32_t* ids = call.ids(kIds);
  const From* table = call.in(kTable).data<From>();
  To* y = call.out(kY).data<To>();
  parallelFor(call.dim("rows"), rowGrain(d), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) convert(table + ids[row] * d, y + row * d, d);
  });
}

void backwardOfFloats(Call& call) {
  const int64_t rows = call.dim("rows"), vocab = call.dim("vocab"), d = call.dim("d");
  float* gtable = call.gi(kTable);
  if (!gtable) return;
  if (call.beta(kTable) == 0.0f) zero(gtable, vocab * d);
  const float* gy = call.go(kY);
  if (!gy || rows == 0) return;

  // Sorted by id, the occurrences of an id are one run, so that each thread owns whole rows of the table.
  const int32_t* ids = call.ids(kIds);
  // Checked again, because the ids may have been written since the forward pass.
  checkIds(call);
  std::vector<std::pair<int32_t, int32_t>> order(static_cast<size_t>(rows));
  for (int64_t row = 0; row < rows; ++row) order[static_cast<size_t>(row)] = {ids[row], static_cast<int32_t>(row)};
  std::sort(order.begin(), order.end());
  std::vector<int64_t> runs;
  for (int64_t i = 0; i < rows; ++i)
    if (i == 0 || order[static_cast<size_t>(i)].first != order[static_cast<size_t>(i) - 1].first) runs.push_back(i);
  runs.push_back(rows);
  parallelFor(static_cast<int64_t>(runs.size()) - 1, rowGrain(d), [&](int64_t begin, int64_t end) {
    for (int64_t run = begin; run < end; ++run) {
      const auto *first = order.data() + runs[static_cast<size_t>(run)],
                 *last = order.data() + runs[static_cast<size_t>(run) + 1];
      float* gradient = gtable + first->first * d;
      if (last - first <= kFewOccurrences) {
        for (; first < last; ++first) store(gradient, 1.0f, 1.0f, gy + first->second * d, d);
        continue;
      }
      LongSums sums(d);
      for (; first < last; ++first) sums.addRow(gy + first->second * d);
      store(gradient, 1.0f, 1.0f, sums.rounded(), d);
    }
  });
}

}  // namespace

void forward(Call& call) {
  checkIds(call);
  if (call.dim("rows") == 0) return;
  const bool fromBf = call.in(kTable).dtype == DType::bf16, toBf = call.out(kY).dtype == DType::bf16;
  if (fromBf)
    toBf ? gather<uint16_t, uint16_t>(call, copyRow) : gather<uint16_t, float>(call, fromBf16);
  else
    toBf ? gather<float, uint16_t>(call, toBf16) : gather<float, float>(call, copyRow);
}

void backward(Call& call) {
  if (hasBf16(call))
    runWidened(call, backwardOfFloats);
  else
    backwardOfFloats(call);
}

}  // namespace hint::embedding
