#pragma once

#include "native/runtime/cuda/eight.cuh"
#include "native/runtime/cuda/mma.cuh"

/// bf16 matrices in shared memory, and the fragments of them that the lanes of a warp hold for the tensor cores.
///
/// Of a 16x8 result, a lane has elements 0 and 1 in row `fragmentRow()` at columns `fragmentColumn()` and the next, and
/// elements 2 and 3 eight rows further down. Wider results are arrays of these, 8 columns each.
namespace hint::cuda {

__device__ inline int fragmentRow() { return static_cast<int>(threadIdx.x % 32 / 4); }
__device__ inline int fragmentColumn() { return static_cast<int>(threadIdx.x % 4 * 2); }

/// Two numbers rounded to bf16, `low` in the lower half.
__device__ inline uint32_t packPair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  uint32_t bits;
  memcpy(&bits, &pair, sizeof bits);
  return bits;
}

/// to[i] = beta * to[i] + new for two consecutive elements; with beta 0, `to` is not read. `to` is aligned to the pair.
__device__ inline void storePair(bf16* to, float beta, float low, float high) {
  auto* pair = reinterpret_cast<__nv_bfloat162*>(to);
  if (beta != 0.0f) {
    low += beta * __low2float(*pair);
    high += beta * __high2float(*pair);
  }
  *pair = __floats2bfloat162_rn(low, high);
}
__device__ inline void storePair(float* to, float beta, float low, float high) {
  auto* pair = reinterpret_cast<float2*>(to);
  if (beta != 0.0f) {
    low += beta * pair->x;
    high += beta * pair->y;
  }
  *pair = make_float2(low, high);
}

/// Rows of kColumns elements. The eight elements of padding shift successive rows by four banks, so that the eight rows
/// of a matrix that ldmatrix reads lie in all 32 banks once.
template <int kColumns>
struct MmaTile {
  static_assert(kColumns % 16 == 0);
  static constexpr int kStride = kColumns + 8;
  /// Bytes of `rows` rows; a multiple of 16, as addresses of rows are.
  static constexpr int bytes(int rows) { return rows * kStride * static_cast<int>(sizeof(bf16)); }

  bf16* data;
  __device__ bf16* row(int r) const { return data + r * kStride; }

  /// Begins to copy `rows` rows from `rowOf(r)`, null for zeros, with all `threads` of the block; columns from
  /// `columns` on, a multiple of 8, are zero. `valid` is any address that can be read.
  template <typename RowOf>
  __device__ void fill(int rows, int columns, int threads, const bf16* valid, const RowOf& rowOf) const {
    constexpr int kChunks = kColumns / 8;
    for (int i = threadIdx.x; i < rows * kChunks; i += threads) {
      const int r = i / kChunks, column = i % kChunks * 8;
      const bf16* from = column < columns ? rowOf(r) : nullptr;
      copyAsync(row(r) + column, from ? from + column : valid, from != nullptr);
    }
  }

  /// The left operand: 16 rows from `r`, 16 columns from `column`.
  __device__ void left(uint32_t (&a)[4], int r, int column) const {
    const int lane = threadIdx.x % 32;
    loadMatrices(a, row(r + lane % 16) + column + lane / 16 * 8);
  }
  /// The left operand of the transposed matrix: its rows are columns here. 16 rows from `column`, 16 columns from `r`.
  __device__ void leftTransposed(uint32_t (&a)[4], int column, int r) const {
    const int lane = threadIdx.x % 32;
    loadTransposed(a, row(r + lane / 16 * 8 + lane % 8) + column + lane / 8 % 2 * 8);
  }
  /// Two right operands side by side, 16 rows from `r` and 16 columns from `column`: the first is b[0] and b[1].
  __device__ void right(uint32_t (&b)[4], int r, int column) const {
    const int lane = threadIdx.x % 32;
    loadTransposed(b, row(r + lane % 16) + column + lane / 16 * 8);
  }
  /// The same of the transposed matrix: 16 rows from `column`, 16 columns from `r`.
  __device__ void rightTransposed(uint32_t (&b)[4], int column, int r) const {
    const int lane = threadIdx.x % 32;
    loadMatrices(b, row(r + lane / 16 * 8 + lane % 8) + column + lane / 8 % 2 * 8);
  }
};

/// c [16, kCount] += 16 rows of `left` from `row` times the transpose of kCount rows of `right`.
template <int kCount, int kColumns>
__device__ inline void multiplyRows(float (&c)[kCount / 8][4], MmaTile<kColumns> left, int row,
                                    MmaTile<kColumns> right) {
#pragma unroll
  for (int k = 0; k < kColumns; k += 16) {
    uint32_t a[4];
    left.left(a, row, k);
#pragma unroll
    for (int n = 0; n < kCount; n += 16) {
      uint32_t b[4];
      right.rightTransposed(b, k, n);
      multiply(c[n / 8], a, b[0], b[1]);
      multiply(c[n / 8 + 1], a, b[2], b[3]);
    }
  }
}

/// c [16, kColumns] += w [16, kCount], a result of this warp rounded to bf16, times kCount rows of `right`. Two
/// neighbouring pieces of a result lie among the lanes as a left operand does, so nothing moves between them.
template <int kCount, int kColumns>
__device__ inline void multiplyWeights(float (&c)[kColumns / 8][4], const float (&w)[kCount / 8][4],
                                       MmaTile<kColumns> right) {
#pragma unroll
  for (int k = 0; k < kCount; k += 16) {
    const float(&first)[4] = w[k / 8], (&second)[4] = w[k / 8 + 1];
    const uint32_t a[4] = {packPair(first[0], first[1]), packPair(first[2], first[3]), packPair(second[0], second[1]),
                           packPair(second[2], second[3])};
#pragma unroll
    for (int n = 0; n < kColumns; n += 16) {
      uint32_t b[4];
      right.right(b, k, n);
      multiply(c[n / 8], a, b[0], b[1]);
      multiply(c[n / 8 + 1], a, b[2], b[3]);
    }
  }
}

}  // namespace hint::cuda
