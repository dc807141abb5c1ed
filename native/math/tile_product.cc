#include "native/math/tile_product.h"

#include "native/math/instructions.h"
#include "native/math/vector_targets.h"

namespace hint {
namespace {

/// How far ahead b is asked for, which comes from the second cache level in long products.
constexpr int64_t kDepthsAhead = 8;

/// `Groups` groups of sixteen columns of c for `Rows` rows, all sums in registers.
template <typename Vector, int Rows, int Groups>
HINT_INLINE void tile(const TileProduct& p, const float* a, const float* b, float* c, int64_t depth, bool accumulate) {
  constexpr int L = vectorLanes<Vector>, perGroup = kTileColumns / L, vectors = Groups * perGroup;
  const int64_t aRow = p.aRow, aDepth = p.aDepth, bDepth = p.bDepth, bVector = p.bVector, cRow = p.cRow;
  Vector sum[Rows][vectors];
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < vectors; ++v) sum[r][v] = Vector{};
  // A pointer for four rows: with one for all, their distances do not fit the registers.
  constexpr int kFours = (Rows + 3) / 4;
  const float* fours[kFours];
  for (int g = 0; g < kFours; ++g) fours[g] = a + 4 * g * aRow;
  const int64_t aThird = 3 * aRow;
  for (int64_t k = 0; k < depth; ++k) {
    Vector column[vectors];
    for (int v = 0; v < vectors; ++v) loadVector(column[v], b + (v / perGroup) * bVector + (v % perGroup) * L);
    for (int g = 0; g < Groups; ++g) __builtin_prefetch(b + kDepthsAhead * bDepth + g * bVector);
    for (int r = 0; r < Rows; ++r) {
      const float* from = fours[r / 4];
      const float x = r % 4 == 0 ? from[0] : r % 4 == 1 ? from[aRow] : r % 4 == 2 ? from[2 * aRow] : from[aThird];
      for (int v = 0; v < vectors; ++v) sum[r][v] += x * column[v];
    }
    for (int g = 0; g < kFours; ++g) {
      fours[g] += aDepth;
      // Otherwise the compiler would compute all from the first.
      asm("" : "+r"(fours[g]));
    }
    b += bDepth;
  }
  // The old value of c is added last, so that the chain of additions is only as long as this depth.
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < vectors; ++v) {
      Vector before{};
      if (accumulate) loadVector(before, c + r * cRow + v * L);
      storeVector(before + sum[r][v], c + r * cRow + v * L);
    }
}

/// All rows of p for `Groups` groups of columns, in tiles of Tallest rows and a remainder of smaller ones.
template <typename Vector, int Tallest, int Groups>
HINT_INLINE void rowTiles(const TileProduct& p, const float* a, const float* b, float* c, int64_t depth,
                          bool accumulate) {
  int64_t r = 0;
  for (; r + Tallest <= p.m; r += Tallest)
    tile<Vector, Tallest, Groups>(p, a + r * p.aRow, b, c + r * p.cRow, depth, accumulate);
  if constexpr (Tallest > 6)
    if (r + 6 <= p.m) {
      tile<Vector, 6, Groups>(p, a + r * p.aRow, b, c + r * p.cRow, depth, accumulate);
      r += 6;
    }
  for (; r + 2 <= p.m; r += 2) tile<Vector, 2, Groups>(p, a + r * p.aRow, b, c + r * p.cRow, depth, accumulate);
  if (r < p.m) tile<Vector, 1, Groups>(p, a + r * p.aRow, b, c + r * p.cRow, depth, accumulate);
}

/// `Widest` and the heights are chosen so that the sums fill the registers but for the operands: 24 of 32, 12 of 16.
template <typename Vector, int Widest>
HINT_INLINE void multiplyTiles(const TileProduct& p) {
  constexpr bool wide = vectorLanes<Vector> == kTileColumns;
  constexpr int narrowRows = wide ? 12 : vectorLanes<Vector> == 8 ? 6 : 3;
  int64_t from = 0;
  do {
    const int64_t depth = p.depth - from < 2 * p.depthAtOnce ? p.depth - from : p.depthAtOnce;
    const bool accumulate = p.accumulate || from > 0;
    const float* a = p.a + from * p.aDepth;
    int64_t v = 0;
    const auto b = [&]() { return p.b + from * p.bDepth + v * p.bVector; };
    if constexpr (Widest == 4)
      for (; v + 4 <= p.vectors; v += 4) rowTiles<Vector, 6, 4>(p, a, b(), p.c + v * kTileColumns, depth, accumulate);
    if constexpr (Widest >= 2)
      for (; v + 2 <= p.vectors; v += 2) rowTiles<Vector, 12, 2>(p, a, b(), p.c + v * kTileColumns, depth, accumulate);
    // One row has too few sums of one group to keep the multipliers busy.
    if constexpr (Widest == 1)
      for (; p.m == 1 && v + 2 <= p.vectors; v += 2)
        tile<Vector, 1, 2>(p, a, b(), p.c + v * kTileColumns, depth, accumulate);
    for (; v < p.vectors; ++v) rowTiles<Vector, narrowRows, 1>(p, a, b(), p.c + v * kTileColumns, depth, accumulate);
    from += depth;
  } while (from < p.depth);
}

#define HINT_TILE_PRODUCT(name, target, Vector, widest) \
  target void multiply##name(const TileProduct& p) { multiplyTiles<Vector, widest>(p); }

HINT_TILE_PRODUCT(4, , Vector4, 1)
#if defined(HINT_HAS_TARGETS)
HINT_TILE_PRODUCT(8, HINT_TARGET_8, Vector8, 1)
HINT_TILE_PRODUCT(16, HINT_TARGET_16, Vector16, 4)
#endif

}  // namespace

void multiplyTile(const TileProduct& product) {
  static void (*const chosen)(const TileProduct&) = [] {
#if defined(HINT_HAS_TARGETS)
    if (supports(Instructions::avx512)) return multiply16;
    if (supports(Instructions::avx2)) return multiply8;
#endif
    return multiply4;
  }();
  if (product.m > 0 && product.vectors > 0) chosen(product);
}

}  // namespace hint
