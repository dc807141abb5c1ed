#pragma once

#include <cstdint>

#include "native/runtime/activation_kind.h"
#include "native/runtime/panels.h"
#include "native/runtime/tensor.h"

namespace hint {

/// A weight matrix in the order in which oneDNN's kernels read it, so that a product with few rows costs one pass over
/// it and none is spent on rearranging. The order depends on the machine and never leaves the process.
///
/// f32; bf16, whose products take rows rounded to bf16 and add up in f32; or i8, whose columns have a scale each and
/// whose products quantise every row to 8 bits around zero.
struct PackedMatrix {
  DType dtype = DType::f32;
  const void* values = nullptr;
  const float* scale = nullptr;      ///< i8: [n], the value of one step
  const float* columnSum = nullptr;  ///< i8: [n], the sum of each column's steps
};

/// What follows the product, in this order; each is optional.
struct Epilogue {
  const float* bias = nullptr;  ///< [n], added to every row
  Activation activation = Activation::none;
  const float* residual = nullptr;  ///< [m, n], added last
};

/// How a matrix asked for in `wanted` is held: f32 where the processor has no such products. bf16 ones would be several
/// times slower than f32 ones there (the values are rounded to bf16 all the same); those of 8 bits would saturate in 16
/// bits, as oneDNN adds them up in pairs without VNNI.
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
