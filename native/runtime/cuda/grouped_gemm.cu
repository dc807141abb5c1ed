#include "native/runtime/cuda/device.cuh"
#include "native/runtime/cuda/gemm.h"

namespace hint::cuda {
namespace {

constexpr int kTile = 64, kDepth = 16, kThreads = 256, kPerThread = 4;

/// Strides of the two sides of a matrix as the product sees it.
struct View {
  int64_t row, column;
  explicit View(const Matrix& matrix)
      : row(matrix.transposed ? 1 : matrix.stride), column(matrix.transposed ? matrix.stride : 1) {}
};

struct Arguments {
  int64_t m, n, k;
  const int32_t* offsets;
  bool raggedRows;
  View a, b;
  int64_t bStep, cStep, cStride;
  float alpha, beta;
};

/// One 64x64 tile of C per block, a 4x4 piece of it per thread, f32 arithmetic. Tiles of A and B pass through shared
/// memory, loaded along whichever side is contiguous.
template <typename T, typename C>
__global__ void __launch_bounds__(kThreads) product(Arguments g, const T* a, const T* b, C* c) {
  const int64_t group = blockIdx.z;
  int64_t m = g.m, k = g.k;
  const int64_t first = g.offsets ? g.offsets[group] : 0;
  const int64_t count = g.offsets ? g.offsets[group + 1] - first : (g.raggedRows ? m : k);
  b += group * g.bStep;
  if (g.raggedRows) {
    m = count;
    a += first * g.a.row;
    c += first * g.cStride;
  } else {
    k = count;
    a += first * g.a.column;
    b += first * g.b.row;
    c += group * g.cStep;
  }
  const int64_t row0 = int64_t{blockIdx.y} * kTile, column0 = int64_t{blockIdx.x} * kTile;
  if (row0 >= m) return;

  __shared__ float tileA[kDepth][kTile + 1], tileB[kDepth][kTile + 1];
  const int thread = threadIdx.x, x = thread % 16, y = thread / 16;
  float sum[kPerThread][kPerThread] = {};
  for (int64_t depth = 0; depth < k; depth += kDepth) {
    for (int i = thread; i < kTile * kDepth; i += kThreads) {
      const int ra = g.a.column == 1 ? i / kDepth : i % kTile, da = g.a.column == 1 ? i % kDepth : i / kTile;
      tileA[da][ra] = row0 + ra < m && depth + da < k ? load(a + (row0 + ra) * g.a.row + (depth + da) * g.a.column) : 0;
      const int cb = g.b.column == 1 ? i % kTile : i / kDepth, db = g.b.column == 1 ? i / kTile : i % kDepth;
      tileB[db][cb] =
          column0 + cb < g.n && depth + db < k ? load(b + (depth + db) * g.b.row + (column0 + cb) * g.b.column) : 0;
    }
    __syncthreads();
    for (int d = 0; d < kDepth; ++d) {
      float left[kPerThread], right[kPerThread];
#pragma unroll
      for (int i = 0; i < kPerThread; ++i) {
        left[i] = tileA[d][y + 16 * i];
        right[i] = tileB[d][x + 16 * i];
      }
#pragma unroll
      for (int i = 0; i < kPerThread; ++i)
#pragma unroll
        for (int j = 0; j < kPerThread; ++j) sum[i][j] += left[i] * right[j];
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kPerThread; ++i)
#pragma unroll
    for (int j = 0; j < kPerThread; ++j) {
      const int64_t row = row0 + y + 16 * i, column = column0 + x + 16 * j;
      if (row < m && column < g.n) store(c + row * g.cStride + column, g.beta, g.alpha * sum[i][j]);
    }
}

template <typename T, typename C>
void launch(const GroupedGemm& p) {
  const bool rows = p.ragged == GroupedGemm::Ragged::rows;
  const Arguments arguments{p.m,       p.n,     p.k,     p.rowOffsets, rows,    View(p.a),
                            View(p.b), p.bStep, p.cStep, p.cStride,    p.alpha, p.beta};
  const dim3 grid(static_cast<unsigned>((p.n + kTile - 1) / kTile), static_cast<unsigned>((p.m + kTile - 1) / kTile),
                  static_cast<unsigned>(p.groups));
  if (grid.y > 65535 || grid.z > 65535)
    fail("NOT_SUPPORTED", "A grouped product of ", p.m, " rows and ", p.groups,
         " groups exceeds one launch; lower the batch's token budget.");
  product<T, C><<<grid, kThreads, 0, Context::current().stream()>>>(
      arguments, static_cast<const T*>(p.a.data), static_cast<const T*>(p.b.data), static_cast<C*>(p.c));
  launched();
}

}  // namespace

void groupedGemm(const GroupedGemm& problem) {
  if (problem.m == 0 || problem.n == 0 || problem.groups == 0) return;
  if (problem.a.dtype == DType::f32)
    launch<float, float>(problem);
  else if (problem.cType == DType::f32)
    launch<bf16, float>(problem);
  else
    launch<bf16, bf16>(problem);
}

}  // namespace hint::cuda
