#include "native/math/gemm.h"

#include "native/math/dot_product.h"
#include "native/math/skinny_gemm.h"

namespace hint {

namespace {

/// The result of a product of no columns: nothing but what was there.
void keep(int64_t m, int64_t n, float beta, float* c, int64_t ldc) {
  for (int64_t row = 0; row < m; ++row)
    for (int64_t column = 0; column < n; ++column)
      c[row * ldc + column] = beta == 0.0f ? 0.0f : beta * c[row * ldc + column];
}

}  // namespace

void gemm(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
          const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  gemm(transposeA, transposeB, m, n, k, alpha, Factor(a), lda, Factor(b), ldb, beta, c, ldc);
}

void gemm(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, float alpha, const Factor& a, int64_t lda,
          const Factor& b, int64_t ldb, float beta, float* c, int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) return keep(m, n, beta, c, ldc);
  if (a.dtype == DType::f32 && !transposeA && transposeB && m <= kSkinnyRows)
    return skinnyGemm(m, n, k, alpha, static_cast<const float*>(a.values), lda, static_cast<const float*>(b.values),
                      ldb, beta, c, ldc);
  dotGemm(transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

}  // namespace hint
