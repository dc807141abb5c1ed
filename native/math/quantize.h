#pragma once

#include <cstdint>

#include "native/math/epilogue.h"

/// 8-bit weights and rows. A row x is s (u - 128) with its own step s; a column w of the matrix is t v with its own
/// step t. Hence x·w = s t (Σ u v - 128 Σ v), and Σ u v is a product of integers.
namespace hint {

/// Quantises a row and returns its step, 0 for a row of zeros.
float quantizeRow(const float* x, int64_t k, uint8_t* steps);

/// Quantises the columns of a matrix, [n, k] when `transposed`, else [k, n], to -127 … 127; keeps the layout.
void quantizeColumns(const float* weight, int64_t k, int64_t n, bool transposed, int8_t* steps, float* scale,
                     float* columnSum);

/// Computes one row of x·w from the integer sums Σ u v, then applies the epilogue.
void dequantizeRow(const int32_t* totals, int64_t n, float step, const float* scale, const float* columnSum,
                   const Epilogue& epilogue, float* y);

}  // namespace hint
