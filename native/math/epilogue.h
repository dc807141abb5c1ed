#pragma once

#include <cstdint>

#include "native/math/activation_kind.h"
#include "native/math/float_rows.h"

namespace hint {

/// Operations on a matrix product's result [m, n], in this order; each is optional.
struct Epilogue {
  const float* bias = nullptr;  ///< [n], added to every row
  Activation activation = Activation::none;
  FloatReader residual = nullptr;  ///< [m, n], added last

  /// The same epilogue for the part of the result that begins at `row` and `column`; rows have n values.
  Epilogue at(int64_t row, int64_t column, int64_t n) const {
    return {bias ? bias + column : nullptr, activation, residual ? residual.from(row * n + column) : nullptr};
  }
};

/// Applies an epilogue to `count` values of its first row, in place.
void finishRow(const Epilogue& epilogue, int64_t count, float* y);

}  // namespace hint
