#pragma once

#include <cstdint>

#include "native/math/dot_kernel.h"

/// Arrangement of both factors of a product for DotKernel.
namespace hint {

/// A matrix of f32, bf16 or i8, [across, along] when `isAlong` (its values along k are neighbours), else [along,
/// across].
struct DotSource {
  const void* values;
  bool isAlong;
  int64_t distance;  ///< values from one row, as stored, to the next
};

/// Writes columns [first, last) of the panels of a matrix [k, n], `first` a multiple of DotPanels::kColumns, on the
/// calling thread. `to` is where the first panel of the matrix begins.
void arrangePanels(const DotSource& matrix, const DotPanels& panels, int64_t n, int64_t first, int64_t last, void* to);

/// Writes `count` rows of a left factor of bf16 or f32, [k] each and beginning with row `first`, dotRowBytes(steps)
/// apart, with zeros behind k and in the rows up to the next multiple of kDotRowsRead.
void arrangeRows(const DotSource& matrix, DType dtype, int64_t first, int64_t count, int64_t k, void* to);

/// Zeroes what a kernel reads beyond a left factor of `count` rows of `rowBytes`, of which `bytes` are used.
void fillRows(int64_t count, int64_t bytes, int64_t rowBytes, void* to);

}  // namespace hint
