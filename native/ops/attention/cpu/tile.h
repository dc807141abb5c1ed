#pragma once

#include <cstdint>

#include "native/math/tile_product.h"

/// Layouts, and products with one row, for blocks that stay in the first two cache levels. At the sizes of one head of
/// one sequence (20 to 200 rows of 64) calling a library costs as much as the product itself.
namespace hint::attention {

/// Packed rows are padded to a multiple.
constexpr int64_t kLanes = kTileColumns;
constexpr int64_t padded(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

/// Writes rows[count, dim] (row distance `stride`) as panels [padded(count) / 16][dim][16]: 16 rows side by side, so
/// that products with the transpose read contiguous vectors. Missing rows become zero.
void packPanels(const float* rows, int64_t count, int64_t stride, int64_t dim, float* panels);

/// Copies rows[count, dim] (row distance `stride`) to [count, padded(dim)] with zero padding.
void packRows(const float* rows, int64_t count, int64_t stride, int64_t dim, float* packed);

/// target[count, dim] (row distance `stride`) = beta * target + factor[row] * packed[count, padded(dim)]; factor may be
/// null for 1.
void unpackRows(const float* packed, int64_t count, int64_t dim, const float* factor, float beta, float* target,
                int64_t stride);

/// sums[count, dim] (row distance `stride`) += packed[count, padded(dim)].
void addRows(const float* packed, int64_t count, int64_t dim, double* sums, int64_t stride);

/// out[j] = sum_d x[d] * rows[j, d] for at most 16 rows (row distance `stride`), of f32 or of bf16.
void dotRows(const float* x, const float* rows, int64_t count, int64_t stride, int64_t dim, float* out);
void dotRows(const float* x, const uint16_t* rows, int64_t count, int64_t stride, int64_t dim, float* out);

/// y[d] += sum_j weights[j] * rows[j, d] for `count` rows (row distance `stride`), of f32 or of bf16.
void addWeightedRows(const float* weights, const float* rows, int64_t count, int64_t stride, int64_t dim, float* y);
void addWeightedRows(const float* weights, const uint16_t* rows, int64_t count, int64_t stride, int64_t dim, float* y);

}  // namespace hint::attention
