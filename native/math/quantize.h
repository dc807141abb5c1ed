#pragma once

#include <cstdint>

#include "native/math/epilogue.h"

/// 8-bit weights and rows. A row x is s (u - 128) with its own step s; a column w of the matrix is t v with its own
/// step t. Hence x·w = s t (Σ u v - 128 Σ v), and Σ u v is a product of integers.
///
/// A model may hold an element of x a thousand times as large as its others, and the row of the matrix that multiplies
/// it as much smaller. One step for all of x would then round the others to nothing. So rows of the matrix that are far
/// from its median row, by what they are of the largest of each column, are brought to the median's size, and elements
/// of x are multiplied by the same factors, powers of two, before they are rounded: the product is the same.
namespace hint {

/// Quantises a row, times `factor` [k], and returns its step, 0 for a row of zeros.
float quantizeRow(const float* x, const float* factor, int64_t k, uint8_t* steps);

/// Quantises the columns of a matrix, [n, k] when `transposed`, else [k, n], to -127 … 127; keeps the layout. Writes
/// the factors [k] of its rows that `quantizeRow` applies.
void quantizeColumns(const float* weight, int64_t k, int64_t n, bool transposed, int8_t* steps, float* scale,
                     float* columnSum, float* rowFactor);

/// Computes one row of x·w from the integer sums Σ u v, then applies the epilogue.
void dequantizeRow(const int32_t* totals, int64_t n, float step, const float* scale, const float* columnSum,
                   const Epilogue& epilogue, float* y);

}  // namespace hint
