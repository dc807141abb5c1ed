#pragma once

#include <cstdint>

#include "native/core/tensor.h"
#include "native/math/epilogue.h"
#include "native/math/float_rows.h"
#include "native/math/gemm.h"

/// Products of f32, and of bf16 and 8-bit integers on processors that have dot products of them (dot_kernel.h).
namespace hint {

/// A matrix in the order of DotPanels.
struct DotMatrix {
  DType dtype;
  const void* values;
  const float* scale;      ///< i8: [n], the value of one step
  const float* columnSum;  ///< i8: [n], the sum of each column's steps
  const float* rowFactor;  ///< i8: [k], what elements of x are multiplied by before they meet `values`
};

/// y[m, n] = residual + activation(x[m, k] W + bias), x and y f32 or bf16; k is not 0. For a matrix of bf16 rows of x
/// are rounded to bf16, for one of i8 quantised to 8 bits, each with a step of its own. A row's result does not depend
/// on the rows beside it. Uses the calling thread's team.
void dotProduct(int64_t m, int64_t k, int64_t n, const FloatReader& x, const DotMatrix& matrix,
                const Epilogue& epilogue, const FloatWriter& y);

/// C = alpha * op(A) * op(B) + beta * C for row-major matrices, both f32 or both bf16, as gemm has it; k is not 0. Uses
/// the calling thread's team. A row's result does not depend on the rows beside it.
void dotGemm(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, float alpha, const Factor& a,
             int64_t lda, const Factor& b, int64_t ldb, float beta, float* c, int64_t ldc);

}  // namespace hint
