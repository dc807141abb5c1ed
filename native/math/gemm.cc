#include "native/math/gemm.h"

#include <dnnl.h>

#include <cstring>
#include <string>

#include "native/core/error.h"
#include "native/math/dot_kernel.h"
#include "native/math/dot_product.h"
#include "native/math/skinny_gemm.h"
#include "native/runtime/signals.h"

namespace hint {

namespace {

/// The result of a product of no columns: nothing but what was there.
void keep(int64_t m, int64_t n, float beta, float* c, int64_t ldc) {
  for (int64_t row = 0; row < m; ++row)
    for (int64_t column = 0; column < n; ++column)
      c[row * ldc + column] = beta == 0.0f ? 0.0f : beta * c[row * ldc + column];
}

void require(dnnl_status_t status, int64_t m, int64_t n, int64_t k) {
  if (status != dnnl_success)
    fail("INTERNAL", "oneDNN refused a matrix product of [", m, ", ", k, "] and [", k, ", ", n, "] with status ",
         static_cast<int>(status), ".");
}

char letter(bool transposed) { return transposed ? 'T' : 'N'; }

}  // namespace

void gemm(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
          const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) return keep(m, n, beta, c, ldc);
  if (!transposeA && transposeB && m <= kSkinnyRows) {
    skinnyGemm(m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    return;
  }
  prepareForBusErrors();
  require(dnnl_sgemm(letter(transposeA), letter(transposeB), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc), m, n, k);
}

bool multipliesBf16() { return hasDotProducts(DType::bf16); }

void gemm(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, float alpha, const Factor& a, int64_t lda,
          const Factor& b, int64_t ldb, float beta, float* c, int64_t ldc) {
  if (a.dtype == DType::f32 && b.dtype == DType::f32)
    return gemm(transposeA, transposeB, m, n, k, alpha, static_cast<const float*>(a.values), lda,
                static_cast<const float*>(b.values), ldb, beta, c, ldc);
  if (m == 0 || n == 0) return;
  if (k == 0) return keep(m, n, beta, c, ldc);
  dotGemm(transposeA, transposeB, m, n, k, alpha, static_cast<const uint16_t*>(a.values), lda,
          static_cast<const uint16_t*>(b.values), ldb, beta, c, ldc);
}

const char* gemmLibraryVersion() {
  // The text is never destroyed, because threads may still read it while the process ends.
  static const auto& text = *new auto([] {
    const dnnl_version_t* version = dnnl_version();
    return std::to_string(version->major) + "." + std::to_string(version->minor) + "." + std::to_string(version->patch);
  }());
  return text.c_str();
}

}  // namespace hint
