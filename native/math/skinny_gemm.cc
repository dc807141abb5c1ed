#include "native/math/skinny_gemm.h"

#include <algorithm>

#include "native/runtime/parallel.h"

namespace hint {
namespace {

constexpr int64_t kLanes = 16;
/// Sixteen floats; the compiler splits them where registers are narrower.
typedef float Vector __attribute__((vector_size(64)));

HINT_INLINE void load(Vector& vector, const float* from) { __builtin_memcpy(&vector, from, sizeof(Vector)); }
HINT_INLINE void store(float* to, const Vector& vector) { __builtin_memcpy(to, &vector, sizeof(Vector)); }

/// Columns of C that a thread computes as one piece of work.
constexpr int64_t kPanel = 64;
/// Multiply-adds per thread below which another thread costs more than it gains.
constexpr int64_t kGrain = 1 << 15;

struct Product {
  int64_t m, k;
  float alpha;
  const float* a;
  int64_t lda;
  const float* b;
  int64_t ldb;
  float beta;
  float* c;
  int64_t ldc;

  HINT_INLINE void put(int64_t row, int64_t column, float sum) const {
    float& target = c[row * ldc + column];
    target = beta == 0.0f ? alpha * sum : alpha * sum + beta * target;
  }
};

/// Computes a tile of C from rows of A and rows of B, both contiguous along k.
template <int Rows, int Columns>
HINT_INLINE void dotTile(const Product& p, int64_t row, int64_t column) {
  const float* a = p.a + row * p.lda;
  const float* b = p.b + column * p.ldb;
  Vector sums[Rows][Columns] = {};
  int64_t i = 0;
  for (; i + kLanes <= p.k; i += kLanes) {
    Vector right[Columns];
#pragma GCC unroll 8
    for (int y = 0; y < Columns; ++y) load(right[y], b + y * p.ldb + i);
#pragma GCC unroll 8
    for (int x = 0; x < Rows; ++x) {
      Vector left;
      load(left, a + x * p.lda + i);
#pragma GCC unroll 8
      for (int y = 0; y < Columns; ++y) sums[x][y] += left * right[y];
    }
  }
#pragma GCC unroll 8
  for (int x = 0; x < Rows; ++x)
#pragma GCC unroll 8
    for (int y = 0; y < Columns; ++y) {
      float lanes[kLanes];
      store(lanes, sums[x][y]);
#pragma GCC unroll 4
      for (int64_t half = kLanes / 2; half > 0; half /= 2)
        for (int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
      float sum = lanes[0];
      for (int64_t tail = i; tail < p.k; ++tail) sum += a[x * p.lda + tail] * b[y * p.ldb + tail];
      p.put(row + x, column + y, sum);
    }
}

template <int Columns>
HINT_INLINE void dotColumns(const Product& p, int64_t column) {
  int64_t row = 0;
  for (; row + 4 <= p.m; row += 4) dotTile<4, Columns>(p, row, column);
  if (p.m - row >= 2) {
    dotTile<2, Columns>(p, row, column);
    row += 2;
  }
  if (row < p.m) dotTile<1, Columns>(p, row, column);
}

HINT_CLONES void dotPanel(const Product& p, int64_t begin, int64_t end) {
  int64_t column = begin;
  if (p.m == 1)
    for (; column + 8 <= end; column += 8) dotTile<1, 8>(p, 0, column);
  for (; column + 4 <= end; column += 4) dotColumns<4>(p, column);
  for (; column < end; ++column) dotColumns<1>(p, column);
}

}  // namespace

void skinnyGemm(int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b, int64_t ldb,
                float beta, float* c, int64_t ldc) {
  const Product product{m, k, alpha, a, lda, b, ldb, beta, c, ldc};
  const int64_t panels = (n + kPanel - 1) / kPanel;
  const int64_t grain = std::max<int64_t>(1, kGrain / (kPanel * m * k));
  parallelFor(panels, grain,
              [&](int64_t begin, int64_t end) { dotPanel(product, begin * kPanel, std::min(n, end * kPanel)); });
}

}  // namespace hint
