#pragma once

#include <cstdint>

namespace hint {

/// C = alpha * op(A) * op(B) + beta * C on row-major floats, through oneDNN or, for few rows, skinnyGemm: op(A) is [m,
/// k], op(B) is [k, n]; `lda`, `ldb`, `ldc` are the distances between rows as stored. Uses the calling thread's team;
/// inside parallelFor it runs on one thread. Throws INTERNAL when oneDNN refuses.
void gemm(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
          const float* b, int64_t ldb, float beta, float* c, int64_t ldc);

/// oneDNN's version, "2.6.3", for `hint doctor`.
const char* gemmLibraryVersion();

}  // namespace hint
