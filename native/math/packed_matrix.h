#pragma once

#include <cstdint>

#include "native/core/tensor.h"
#include "native/math/epilogue.h"
#include "native/math/float_rows.h"
#include "native/math/panels.h"

namespace hint {

/// A weight matrix in the order in which the kernels read it, so that a product with few rows costs one pass over the
/// matrix and no rearranging. The order depends on the machine and never leaves the process.
///
/// The values are f32, bf16, or i8 with one scale per column. Where the processor multiplies bf16 or i8
/// (hasDotProducts), rows are rounded to bf16 or quantised to 8 bits, too; elsewhere the matrix is widened and rows
/// stay f32.
struct PackedMatrix {
  DType dtype = DType::f32;
  const void* values = nullptr;
  const float* scale = nullptr;      ///< i8: [n], the value of one step
  const float* columnSum = nullptr;  ///< i8: [n], the sum of each column's steps
  const float* rowFactor = nullptr;  ///< i8: [k], what elements of x are multiplied by before they meet `values`
};

/// The dtype in which a matrix is stored when `wanted` was asked for. It is f32 (with values rounded to bf16 if
/// `wanted` is bf16) on processors that have neither products in `wanted` nor AVX-512 to widen it.
DType packedDType(DType wanted);

/// Number of elements of `dtype` in the packed form of a [k, n] matrix, padding included.
int64_t packedSize(int64_t k, int64_t n, DType dtype);

/// Writes the values of a matrix, [n, k] when `transposed`, else [k, n], in the machine's order.
void arrangeMatrix(int64_t k, int64_t n, bool transposed, DType dtype, const void* values, void* packed);

/// Rounds or quantises matrices as `wanted` says, then arranges them one after the other. `scale` and `columnSum` [n]
/// and `rowFactor` [k] are written for i8 only. Returns false when `checked` is set and a value is infinite or NaN; the
/// packed values are then unusable.
bool packMatrices(const PlainMatrices& matrices, DType wanted, bool checked, void* packed, float* scale,
                  float* columnSum, float* rowFactor);

/// y[m, n] = residual + activation(x[m, k] W + bias), x and y f32 or bf16. Uses the calling thread's team.
void packedProduct(int64_t m, int64_t k, int64_t n, const FloatReader& x, const PackedMatrix& matrix,
                   const Epilogue& epilogue, const FloatWriter& y);

}  // namespace hint
