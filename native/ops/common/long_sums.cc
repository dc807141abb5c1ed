#include "native/ops/common/long_sums.h"

#include <algorithm>

#include "native/ops/common/elementwise.h"
#include "native/runtime/parallel.h"

namespace hint {
namespace {

/// Rows that are added in f32 before the sums move to double. The move costs as much as adding one row.
constexpr int64_t kFewRows = 64;
/// Floats per cache line. Sums are aligned to it, because accesses that cross a line take twice as long.
constexpr int64_t kLine = 16;

HINT_CLONES void addDoubles(double* sums, const double* others, int64_t count) {
  for (int64_t i = 0; i < count; ++i) sums[i] += others[i];
}

}  // namespace

HINT_CLONES void moveToDouble(float* few, double* sums, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    sums[i] += static_cast<double>(few[i]);
    few[i] = 0.0f;
  }
}

LongSums::LongSums(int64_t columns)
    : columns_(columns),
      memory_(std::make_unique<Scratch>(3 * columns + kLine)),
      few_(memory_->data()),
      sums_(reinterpret_cast<double*>(few_ + (columns + kLine - 1) / kLine * kLine)) {
  std::fill(sums_, sums_ + columns, 0.0);
  std::fill(few_, few_ + columns, 0.0f);
}

float* LongSums::nextRow() {
  if (rows_ == kFewRows) finishFew();
  ++rows_;
  return few_;
}

void LongSums::addRow(const float* row) {
  float* few = nextRow();
  addTo(few, few, row, columns_);
}

void LongSums::add(LongSums& other) {
  other.finishFew();
  addDoubles(sums_, other.sums_, columns_);
}

const float* LongSums::rounded() {
  finishFew();
  std::copy(sums_, sums_ + columns_, few_);
  return few_;
}

void LongSums::finishFew() {
  moveToDouble(few_, sums_, columns_);
  rows_ = 0;
}

}  // namespace hint
