#pragma once

#include <cstdint>

#include "native/runtime/tensor.h"

namespace hint {

/// The order in which oneDNN keeps most packed f32 matrices: panels of `width` columns, one after the other, and in a
/// panel its rows, `rows` of them; those beyond the matrix's own are zeros, as are the columns.
struct Panels {
  int64_t width, rows;

  int64_t values(int64_t n) const { return (n + width - 1) / width * width * rows; }
};

/// Matrices that lie one after the other, [n, k] each when `transposed`, else [k, n].
struct PlainMatrices {
  int64_t count, k, n;
  bool transposed;
  DType dtype;  ///< f32 or bf16
  const void* values;
};

/// Puts matrices in panels of a width that is a multiple of 16, as f32, rounded to bf16 on the way when `isRounded`:
/// one pass over either memory, on several threads. Returns whether every value was a finite number.
bool arrangeInPanels(const PlainMatrices& matrices, const Panels& panels, bool isRounded, float* to);

}  // namespace hint
