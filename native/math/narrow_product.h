#pragma once

#include <cstdint>

#include "native/core/tensor.h"
#include "native/math/epilogue.h"
#include "native/math/panels.h"

/// Products of f32 rows with matrices that are held in bf16 or 8 bits on processors that multiply neither: what is read
/// is a half or a quarter, and widened in registers. Rows are never rounded.
namespace hint {

/// Such a matrix: panels in its dtype.
struct NarrowMatrix {
  DType dtype;  ///< bf16 or i8
  const void* values;
  const float* scale;  ///< i8: [n], the value of one step
};

/// The order of the values of a matrix [k, n].
constexpr Panels narrowPanels(int64_t k) { return {64, k}; }

/// Columns [begin, end) of y[m, n] = residual + activation(x[m, k] W + bias), on the calling thread; `begin` is a
/// multiple of the panels' width.
void narrowProduct(int64_t m, int64_t k, int64_t n, const float* x, const NarrowMatrix& matrix,
                   const Epilogue& epilogue, float* y, int64_t begin, int64_t end);

/// Widens a matrix [k, n] to f32 in the order of `panels`, which have a width that is a multiple of 16. Uses the
/// calling thread's team.
void widenPanels(int64_t k, int64_t n, const NarrowMatrix& matrix, const Panels& panels, float* to);

}  // namespace hint
