#pragma once

#include <cstdint>

#include "native/core/tensor.h"
#include "native/math/epilogue.h"
#include "native/math/panels.h"

/// Products of f32 rows with matrices that are stored as bf16 or i8, on processors that multiply neither. The kernel
/// reads a half or a quarter of the bytes of an f32 matrix and widens them in registers. Rows are never rounded.
namespace hint {

/// A matrix stored as bf16 or i8, in the order of narrowPanels.
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
