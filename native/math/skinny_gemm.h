#pragma once

#include <cstdint>

namespace hint {

/// The largest number of rows of A for which skinnyGemm is faster than dotGemm.
constexpr int64_t kSkinnyRows = 32;

/// C = alpha * A * B^T + beta * C for few rows of A (decoding), where reading B is most of the work: B is read once, in
/// place, while dotGemm packs it first. A is [m, k], B is [n, k]; k may not be 0. Row distances as in gemm.
void skinnyGemm(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b, int64_t ldb,
                float beta, float* c, int64_t ldc);

}  // namespace hint
