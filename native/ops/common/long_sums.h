#pragma once

#include <cstdint>
#include <memory>

#include "native/runtime/scratch.h"

/// Sums over any number of rows: tokens, tasks, occurrences of an id.
namespace hint {

/// Adds `few` to `sums` and clears them.
void moveToDouble(float* few, double* sums, int64_t count);

/// Sums by column: in f32 over a few rows, in double beyond, so that the error does not grow with the number of rows.
class LongSums {
 public:
  explicit LongSums(int64_t columns);
  /// Array to which the caller adds the terms of the next row.
  float* nextRow();
  void addRow(const float* row);
  /// Adds the sums of `other`, for sums that are divided among threads.
  void add(LongSums& other);
  /// The sums, rounded once. Nothing can be added afterwards.
  const float* rounded();

 private:
  void finishFew();

  int64_t columns_, rows_ = 0;
  std::unique_ptr<Scratch> memory_;
  float* few_;
  double* sums_;
};

}  // namespace hint
