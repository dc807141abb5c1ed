#include "native/math/narrow_product.h"

#include <algorithm>

#include "native/math/vector_targets.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

#if defined(__GNUC__) && !defined(__clang__)
// Only functions that are always inlined pass vectors, so that the ABI of vector arguments does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

namespace hint {
namespace {

constexpr int64_t kLanes = 16;
/// Sixteen values; the compiler splits them where registers are narrower.
using Vector = Vector16;
typedef int16_t Halves __attribute__((vector_size(32)));
typedef int32_t Integers __attribute__((vector_size(64)));
typedef int8_t Bytes __attribute__((vector_size(16)));

constexpr int64_t kWidth = narrowPanels(0).width;

HINT_INLINE Vector widen(const uint16_t* from) {
  Vector values;
  loadVector(values, from);
  return values;
}

HINT_INLINE Vector widen(const int8_t* from) {
  Bytes steps;
  __builtin_memcpy(&steps, from, sizeof(steps));
  // Each step doubles the width, because GCC converts larger steps value by value.
  return __builtin_convertvector(__builtin_convertvector(__builtin_convertvector(steps, Halves), Integers), Vector);
}

HINT_INLINE Vector widen(const float* from) {
  Vector values;
  __builtin_memcpy(&values, from, sizeof(values));
  return values;
}

struct Product {
  int64_t m, k, n;
  const float* x;
  NarrowMatrix matrix;
  Epilogue epilogue;
  float* y;
  float* sums;     ///< [m, panel width]
  float* widened;  ///< [kWidenedRows, panel width] used from kFewRows rows on
};

/// From kFewRows rows on, kWidenedRows rows of a panel at a time are widened into the cache before they are multiplied.
constexpr int64_t kFewRows = 12, kWidenedRows = 1024;

/// Adds the products of `Rows` rows with `count` rows of a panel to their sums. `Rows` is limited by the number of
/// registers. Each result is summed in the order of k, so that it does not depend on the rows it is computed with.
template <int Rows, int Vectors, typename Held>
HINT_INLINE void multiplyTile(const float* x, int64_t distance, const Held* weights, int64_t count, float* totals) {
  Vector sums[Rows][Vectors];
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sums[r][v] = widen(totals + r * kWidth + v * kLanes);
  for (int64_t i = 0; i < count; ++i, weights += kWidth) {
    Vector right[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) right[v] = widen(weights + v * kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
      const float left = x[r * distance + i];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sums[r][v] += left * right[v];
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r) __builtin_memcpy(totals + r * kWidth, sums[r], sizeof(sums[r]));
}

/// Multiplies all rows with rows [begin, begin + count) of a panel.
template <typename Held>
HINT_INLINE void multiplyRows(const Product& p, const Held* weights, int64_t begin, int64_t count) {
  const float* x = p.x + begin;
  int64_t row = 0;
  for (; row + 12 <= p.m; row += 12) {
    multiplyTile<12, 2>(x + row * p.k, p.k, weights, count, p.sums + row * kWidth);
    multiplyTile<12, 2>(x + row * p.k, p.k, weights + kWidth / 2, count, p.sums + row * kWidth + kWidth / 2);
  }
  for (; row + 6 <= p.m; row += 6) multiplyTile<6, 4>(x + row * p.k, p.k, weights, count, p.sums + row * kWidth);
  for (; row + 3 <= p.m; row += 3) multiplyTile<3, 4>(x + row * p.k, p.k, weights, count, p.sums + row * kWidth);
  for (; row < p.m; ++row) multiplyTile<1, 4>(x + row * p.k, p.k, weights, count, p.sums + row * kWidth);
}

template <typename Held>
HINT_INLINE void multiplyPanels(const Product& p, int64_t begin, int64_t end) {
  for (int64_t column = begin; column < end; column += kWidth) {
    const Held* panel = static_cast<const Held*>(p.matrix.values) + column * p.k;
    std::fill_n(p.sums, p.m * kWidth, 0.0f);
    if (p.m < kFewRows) {
      multiplyRows(p, panel, 0, p.k);
    } else {
      for (int64_t row = 0; row < p.k; row += kWidenedRows) {
        const int64_t count = std::min(kWidenedRows, p.k - row);
        for (int64_t i = 0; i < count * kWidth; i += kLanes) {
          const Vector values = widen(panel + row * kWidth + i);
          __builtin_memcpy(p.widened + i, &values, sizeof(values));
        }
        multiplyRows(p, static_cast<const float*>(p.widened), row, count);
      }
    }
    const int64_t count = std::min(kWidth, p.n - column);
    for (int64_t row = 0; row < p.m; ++row) {
      float* values = p.sums + row * kWidth;
      if (p.matrix.scale)
        for (int64_t j = 0; j < count; ++j) values[j] *= p.matrix.scale[column + j];
      finishRow(p.epilogue.at(row, column, p.n), count, values);
      std::copy(values, values + count, p.y + row * p.n + column);
    }
  }
}

HINT_CLONES void multiplyHalves(const Product& p, int64_t begin, int64_t end) {
  multiplyPanels<uint16_t>(p, begin, end);
}
HINT_CLONES void multiplySteps(const Product& p, int64_t begin, int64_t end) { multiplyPanels<int8_t>(p, begin, end); }

/// The destination of widenPanels, and the matrix that is widened.
struct Widening {
  int64_t k, n;
  NarrowMatrix matrix;
  Panels panels;
  float* to;
};

/// Widens sixteen columns in rows [first, last) of the panels.
template <typename Held>
HINT_INLINE void widenColumns(const Widening& w, int64_t column, int64_t first, int64_t last) {
  const int64_t inPanel = column % w.panels.width;
  float* to = w.to + (column - inPanel) * w.panels.rows + inPanel;
  const Held* from = static_cast<const Held*>(w.matrix.values) + column / kWidth * kWidth * w.k + column % kWidth;
  // Columns beyond the last narrow panel have nothing to read and become zeros.
  const int64_t known = column < w.n ? std::min(last, w.k) : first;
  Vector scale = {};
  for (int64_t lane = 0; lane < kLanes && column + lane < w.n; ++lane)
    scale[lane] = w.matrix.scale ? w.matrix.scale[column + lane] : 1.0f;
  for (int64_t row = first; row < known; ++row) {
    const Vector values = widen(from + row * kWidth) * scale;
    __builtin_memcpy(to + row * w.panels.width, &values, sizeof(values));
  }
  for (int64_t row = std::max(first, known); row < last; ++row) std::fill_n(to + row * w.panels.width, kLanes, 0.0f);
}

HINT_CLONES void widenHalves(const Widening& w, int64_t column, int64_t first, int64_t last) {
  widenColumns<uint16_t>(w, column, first, last);
}
HINT_CLONES void widenSteps(const Widening& w, int64_t column, int64_t first, int64_t last) {
  widenColumns<int8_t>(w, column, first, last);
}

/// Rows that a thread widens as one piece of work.
constexpr int64_t kRows = 256;

}  // namespace

void narrowProduct(int64_t m, int64_t k, int64_t n, const float* x, const NarrowMatrix& matrix,
                   const Epilogue& epilogue, float* y, int64_t begin, int64_t end) {
  const Scratch sums(m * kWidth), widened(m < kFewRows ? 0 : std::min(k, kWidenedRows) * kWidth);
  const Product product{m, k, n, x, matrix, epilogue, y, sums, widened};
  if (matrix.dtype == DType::bf16)
    multiplyHalves(product, begin, end);
  else
    multiplySteps(product, begin, end);
}

void widenPanels(int64_t k, int64_t n, const NarrowMatrix& matrix, const Panels& panels, float* to) {
  const Widening widening{k, n, matrix, panels, to};
  const auto widenPart = matrix.dtype == DType::bf16 ? widenHalves : widenSteps;
  const int64_t columns = panels.values(n) / panels.rows / kLanes, parts = (panels.rows + kRows - 1) / kRows;
  parallelFor(columns * parts, 4, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t row = i % parts * kRows;
      widenPart(widening, i / parts * kLanes, row, std::min(panels.rows, row + kRows));
    }
  });
}

}  // namespace hint
