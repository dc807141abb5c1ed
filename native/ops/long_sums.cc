#include "native/ops/long_sums.h"

#include <algorithm>

#include "native/ops/elementwise.h"
#include "native/runtime/parallel.h"

namespace hint {
namespace {

/// Rows whose terms are added in f32. Moving them costs as much as adding one row.
constexpr int64_t kFewRows = 32;

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

LongSums::LongSums(int64_t columns) : few_(static_cast<size_t>(columns)), sums_(static_cast<size_t>(columns)) {}

float* LongSums::nextRow() {
  if (rows_ == kFewRows) finishFew();
  ++rows_;
  return few_.data();
}

void LongSums::addRow(const float* row) {
  float* few = nextRow();
  addTo(few, few, row, static_cast<int64_t>(few_.size()));
}

void LongSums::add(LongSums& other) {
  other.finishFew();
  addDoubles(sums_.data(), other.sums_.data(), static_cast<int64_t>(sums_.size()));
}

const float* LongSums::rounded() {
  finishFew();
  std::copy(sums_.begin(), sums_.end(), few_.begin());
  return few_.data();
}

void LongSums::finishFew() {
  moveToDouble(few_.data(), sums_.data(), static_cast<int64_t>(few_.size()));
  rows_ = 0;
}

}  // namespace hint
