#pragma once

#include <algorithm>
#include <cstdint>

#include "native/core/call.h"
#include "native/math/bf16.h"
#include "native/math/gemm.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

/// Products of which factors, results and gradients are f32 or bf16, each as it is stored. Sums are f32. A bf16 result
/// is made in blocks of rows, whose sums are still in the cache when they are rounded.
namespace hint {

/// Whether a kernel may multiply the bf16 tensors of a call as they are; otherwise it goes through f32 copies
/// (runtime/cpu/widened_call.h). Simulated rounding does, because it measures what f32 kernels compute.
bool multipliesAsStored(const Call& call);

/// Rows of `columns` sums that stay in the cache, at least as many as keep a product fast.
inline int64_t rowsPerBlock(int64_t columns) {
  return std::max<int64_t>(256, (int64_t{1} << 20) / std::max<int64_t>(1, columns));
}

/// Values [offset, offset + count) of a tensor = beta * themselves + `values`, on the calling thread. beta is 0 or 1.
void storeValues(const Tensor& tensor, int64_t offset, float beta, const float* values, int64_t count);

/// to += values [offset, offset + count) of a tensor, on the calling thread.
void addValues(float* to, const Tensor& from, int64_t offset, int64_t count);

/// What begins `offset` values behind the start of `c` = alpha op(A) op(B) + beta * itself, m rows of n. beta is 0
/// or 1.
void productInto(const Tensor& c, int64_t offset, bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k,
                 float alpha, const Factor& a, int64_t lda, const Factor& b, int64_t ldb, float beta);

}  // namespace hint
