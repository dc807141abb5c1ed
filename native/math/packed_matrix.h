#pragma once

#include <cstdint>

#include "native/core/tensor.h"
#include "native/math/epilogue.h"
#include "native/math/panels.h"

namespace hint {

/// A weight matrix in the order in which the kernels read it, so that a product with few rows costs one pass over it
/// and none is spent on rearranging. The order depends on the machine and never leaves the process.
///
/// f32; bf16; or i8, whose columns have a scale each. Where the processor multiplies bf16 or 8 bits (hasProducts), rows
/// are rounded to bf16 or quantised to 8 bits around zero, too; elsewhere the matrix is widened and rows are as they
/// are.
struct PackedMatrix {
  DType dtype = DType::f32;
  const void* values = nullptr;
  const float* scale = nullptr;      ///< i8: [n], the value of one step
  const float* columnSum = nullptr;  ///< i8: [n], the sum of each column's steps
};

/// Whether the processor multiplies in `dtype`: bf16 products would be several times slower than f32 ones without
/// AVX-512 BF16; those of 8 bits saturate without VNNI, as oneDNN adds them up in pairs of 16 bits there.
bool hasProducts(DType dtype);

/// How a matrix asked for in `wanted` is held: in f32, though rounded to bf16 where that was asked for, on processors
/// that have neither its products nor the registers (AVX-512) to widen it in.
DType packedDType(DType wanted);

/// Elements of `dtype` that the packed form of a [k, n] matrix takes.
int64_t packedSize(int64_t k, int64_t n, DType dtype);

/// Puts the values of a matrix, [n, k] when `transposed`, else [k, n], in the machine's order.
void arrangeMatrix(int64_t k, int64_t n, bool transposed, DType dtype, const void* values, void* packed);

/// Rounds or quantises matrices as `wanted` says, then arranges them one after the other. `scale` and `columnSum` [n]
/// are written for i8 only. Returns false, what is packed then being of no use, where `checked` finds a value that is
/// no finite number.
bool packMatrices(const PlainMatrices& matrices, DType wanted, bool checked, void* packed, float* scale,
                  float* columnSum);

/// y[m, n] = residual + activation(x[m, k] W + bias). Uses the calling thread's team. Throws INTERNAL when oneDNN
/// refuses.
void packedProduct(int64_t m, int64_t k, int64_t n, const float* x, const PackedMatrix& matrix,
                   const Epilogue& epilogue, float* y);

}  // namespace hint
