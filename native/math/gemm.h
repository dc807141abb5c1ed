#pragma once

#include <cstdint>

#include "native/core/tensor.h"

namespace hint {

/// A matrix of a product as it is stored, f32 or bf16.
struct Factor {
  DType dtype;
  const void* values;

  explicit Factor(const float* floats) : dtype(DType::f32), values(floats) {}
  explicit Factor(const uint16_t* halves) : dtype(DType::bf16), values(halves) {}
  explicit Factor(const Tensor& tensor) : dtype(tensor.dtype), values(addressOf(tensor)) {}

  /// What begins `count` values further on.
  Factor from(int64_t count) const {
    Factor rest = *this;
    rest.values = static_cast<const char*>(values) + count * static_cast<int64_t>(sizeOf(dtype));
    return rest;
  }
};

/// C = alpha * op(A) * op(B) + beta * C on row-major floats, by dotGemm or, for few rows, skinnyGemm: op(A) is [m, k],
/// op(B) is [k, n]; `lda`, `ldb`, `ldc` are the distances between rows as stored. Uses the calling thread's team;
/// inside parallelFor it runs on one thread.
void gemm(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
          const float* b, int64_t ldb, float beta, float* c, int64_t ldc);

/// The same for factors of one dtype; sums are f32. Both bf16: only where hasDotProducts(bf16).
void gemm(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, float alpha, const Factor& a, int64_t lda,
          const Factor& b, int64_t ldb, float beta, float* c, int64_t ldc);

}  // namespace hint
