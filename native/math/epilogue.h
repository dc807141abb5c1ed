#pragma once

#include <cstdint>

#include "native/math/activation_kind.h"

namespace hint {

/// What follows a product with a matrix, in this order; each is optional.
struct Epilogue {
  const float* bias = nullptr;  ///< [n], added to every row
  Activation activation = Activation::none;
  const float* residual = nullptr;  ///< [m, n], added last

  /// Of rows from `row` on, n values apart, and columns from `column` on.
  Epilogue at(int64_t row, int64_t column, int64_t n) const {
    return {bias ? bias + column : nullptr, activation, residual ? residual + row * n + column : nullptr};
  }
};

/// Applies one to `count` values of its first row.
void finishRow(const Epilogue& epilogue, int64_t count, float* y);

}  // namespace hint
