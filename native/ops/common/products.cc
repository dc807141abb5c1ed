#include "native/ops/common/products.h"

#include "native/math/dot_kernel.h"
#include "native/ops/common/elementwise.h"
#include "native/runtime/cpu/simulated_rounding.h"
#include "native/runtime/cpu/widened_call.h"

namespace hint {
namespace {

/// Values that are widened at a time.
constexpr int64_t kAtOnce = 512;

}  // namespace

bool multipliesAsStored(const Call& call) {
  return !hasBf16(call) || (hasDotProducts(DType::bf16) && !isRoundingSimulated());
}

void storeValues(const Tensor& tensor, int64_t offset, float beta, const float* values, int64_t count) {
  if (tensor.dtype == DType::f32) return store(tensor.data<float>() + offset, beta, 1.0f, values, count);
  uint16_t* halves = tensor.data<uint16_t>() + offset;
  if (beta == 0.0f) return roundToBf16(values, halves, count);
  float sum[kAtOnce];
  for (int64_t first = 0; first < count; first += kAtOnce) {
    const int64_t some = std::min(kAtOnce, count - first);
    fromBf16(halves + first, sum, some);
    store(sum, 1.0f, 1.0f, values + first, some);
    roundToBf16(sum, halves + first, some);
  }
}

void addValues(float* to, const Tensor& from, int64_t offset, int64_t count) {
  if (from.dtype == DType::f32) return store(to, 1.0f, 1.0f, from.data<float>() + offset, count);
  float wide[kAtOnce];
  for (int64_t first = 0; first < count; first += kAtOnce) {
    const int64_t some = std::min(kAtOnce, count - first);
    fromBf16(from.data<uint16_t>() + offset + first, wide, some);
    store(to + first, 1.0f, 1.0f, wide, some);
  }
}

void productInto(const Tensor& c, int64_t offset, bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k,
                 float alpha, const Factor& a, int64_t lda, const Factor& b, int64_t ldb, float beta) {
  if (m == 0 || n == 0) return;
  if (c.dtype == DType::f32)
    return gemm(transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c.data<float>() + offset, n);
  const int64_t height = std::min(m, rowsPerBlock(n));
  const Scratch sums(height * n);
  for (int64_t row = 0; row < m; row += height) {
    const int64_t rows = std::min(height, m - row);
    gemm(transposeA, transposeB, rows, n, k, alpha, a.from(transposeA ? row : row * lda), lda, b, ldb, 0.0f, sums, n);
    parallelFor(rows * n, kElementGrain, [&](int64_t begin, int64_t end) {
      storeValues(c, offset + row * n + begin, beta, sums + begin, end - begin);
    });
  }
}

}  // namespace hint
