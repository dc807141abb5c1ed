#pragma once

#include <cstdint>

#include "native/core/tensor.h"

namespace hint {

/// The order of packed f32 matrices, and of narrow_product's matrices: panels of `width` columns
/// follow one another, and each panel holds `rows` rows. Rows and columns beyond those of the matrix are zeros.
struct Panels {
  int64_t width, rows;

  int64_t values(int64_t n) const { return checkedProduct(checkedProduct(n / width + (n % width != 0), width), rows); }
};

/// Matrices that follow one another in memory, each [n, k] when `transposed`, else [k, n].
struct PlainMatrices {
  int64_t count, k, n;
  bool transposed;
  DType dtype;  ///< f32, bf16 or i8
  const void* values;
};

/// Writes matrices in panels whose width is a multiple of 16, in one pass over source and destination, on several
/// threads. f32 values that are stored as bf16 are rounded to the nearest; with `isRounded`, f32 values that are stored
/// as f32 are rounded to bf16 and widened again; i8 stays i8. Returns whether every value was finite.
bool arrangeInPanels(const PlainMatrices& matrices, const Panels& panels, DType held, bool isRounded, void* to);

}  // namespace hint
