#pragma once

#include <cstdint>

#include "native/core/tensor.h"

namespace hint {

/// The order in which oneDNN keeps most packed f32 matrices, and narrow_product its own: panels of `width` columns, one
/// after the other, and in a panel its rows, `rows` of them; those beyond the matrix's own are zeros, as are the
/// columns.
struct Panels {
  int64_t width, rows;

  int64_t values(int64_t n) const { return checkedProduct(checkedProduct(n / width + (n % width != 0), width), rows); }
};

/// Matrices that lie one after the other, [n, k] each when `transposed`, else [k, n].
struct PlainMatrices {
  int64_t count, k, n;
  bool transposed;
  DType dtype;  ///< f32, bf16 or i8
  const void* values;
};

/// Puts matrices in panels of a width that is a multiple of 16: one pass over either memory, on several threads. What
/// is held in fewer bits is rounded to the nearest bf16, or, like what is `isRounded` (f32 matrices held as f32), to
/// one and widened again; i8 stays i8. Returns whether every value was a finite number.
bool arrangeInPanels(const PlainMatrices& matrices, const Panels& panels, DType held, bool isRounded, void* to);

}  // namespace hint
