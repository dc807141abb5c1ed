#pragma once

#include <cstdint>

/// f32 products of blocks that stay in the first two cache levels.
namespace hint {

/// Consecutive columns of b and c: those of the widest vector.
constexpr int64_t kTileColumns = 16;

/// c[m, 16 * vectors] (+)= a[m, depth] b[depth, 16 * vectors], with free strides for a and b so that either can be a
/// transposed or panelled layout. Sixteen consecutive columns of b and c are contiguous.
struct TileProduct {
  int64_t m, vectors, depth;
  const float* a;
  int64_t aRow, aDepth;  ///< distance between rows, between depths
  const float* b;
  int64_t bDepth, bVector;  ///< distance between depths, between groups of 16 columns
  float* c;
  int64_t cRow;
  bool accumulate;
  /// Depths whose sums stay in registers until they are added to c: few, where b is read again by many rows and 8 KiB
  /// of it are to stay in the first cache level; many, where passes over c cost more.
  int64_t depthAtOnce = 32;
};

/// On the calling thread. A row's result does not depend on the rows beside it.
void multiplyTile(const TileProduct& product);

}  // namespace hint
