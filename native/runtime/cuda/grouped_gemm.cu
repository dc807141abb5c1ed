#include <algorithm>

#include "native/runtime/cuda/grouped_gemm.cuh"

namespace hint::cuda {
namespace {

constexpr int kTile = 64, kDepth = 16, kThreads = 256, kPerThread = 4;

/// Strides of a matrix along the two dimensions of op(matrix).
struct View {
  int64_t row, column;
  explicit View(const Matrix& matrix)
      : row(matrix.transposed ? 1 : matrix.stride), column(matrix.transposed ? matrix.stride : 1) {}
};

/// One 64x64 tile of C per block, a 4x4 piece of it per thread, f32 arithmetic. Tiles of A and B are loaded into shared
/// memory along their contiguous dimension.
template <typename T, typename C>
__global__ void __launch_bounds__(kThreads)
    product(GroupedArguments g, View viewA, View viewB, const T* a, const T* b, GroupedOutput<T, C> out) {
  const GroupedArguments::Part group = g.part(blockIdx.z);
  const int64_t m = group.m, k = group.k;
  a += group.a;
  b += group.b;
  const auto place = g.place<kTile, kTile>();
  const int64_t row0 = place.row, column0 = place.column;
  if (row0 >= m) return;

  __shared__ float tileA[kDepth][kTile + 1], tileB[kDepth][kTile + 1];
  const int thread = threadIdx.x, x = thread % 16, y = thread / 16;
  // Sums over the rows of a task have many terms. Adding a partial sum to the total every kPart terms keeps their
  // rounding error small.
  constexpr int64_t kPart = 8 * kDepth;
  float sum[kPerThread][kPerThread] = {}, part[kPerThread][kPerThread] = {};
  for (int64_t depth = 0; depth < k; depth += kDepth) {
    for (int i = thread; i < kTile * kDepth; i += kThreads) {
      const int ra = viewA.column == 1 ? i / kDepth : i % kTile, da = viewA.column == 1 ? i % kDepth : i / kTile;
      tileA[da][ra] =
          row0 + ra < m && depth + da < k ? load(a + (row0 + ra) * viewA.row + (depth + da) * viewA.column) : 0;
      const int cb = viewB.column == 1 ? i % kTile : i / kDepth, db = viewB.column == 1 ? i / kTile : i % kDepth;
      tileB[db][cb] =
          column0 + cb < g.n && depth + db < k ? load(b + (depth + db) * viewB.row + (column0 + cb) * viewB.column) : 0;
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
        for (int j = 0; j < kPerThread; ++j) part[i][j] += left[i] * right[j];
    }
    if ((depth + kDepth) % kPart == 0 || depth + kDepth >= k)
#pragma unroll
      for (int i = 0; i < kPerThread; ++i)
#pragma unroll
        for (int j = 0; j < kPerThread; ++j) {
          sum[i][j] += part[i][j];
          part[i][j] = 0;
        }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kPerThread; ++i)
#pragma unroll
    for (int j = 0; j < kPerThread; ++j) {
      const int64_t row = row0 + y + 16 * i, column = column0 + x + 16 * j;
      if (row < m && column < g.n)
        out.one(group.c + row * g.cStride + column, blockIdx.z * out.biasStep + column, sum[i][j]);
    }
}

template <typename T, typename C>
void launch(const GroupedGemm& p) {
  const dim3 grid = GroupedArguments::grid<kTile, kTile>(p);
  product<T, C><<<grid, kThreads, 0, Context::current().stream()>>>(
      GroupedArguments(p), View(p.a), View(p.b), static_cast<const T*>(p.a.data), static_cast<const T*>(p.b.data),
      GroupedOutput<T, C>(p));
  launched();
}

template <typename Pointer>
void advance(Pointer& pointer, int64_t elements, DType dtype) {
  if (pointer)
    pointer = const_cast<char*>(static_cast<const char*>(pointer)) + elements * static_cast<int64_t>(sizeOf(dtype));
}

/// The product of groups [first, first + count) alone.
GroupedGemm partOf(const GroupedGemm& problem, int64_t first, int64_t count) {
  GroupedGemm part = problem;
  part.groups = count;
  if (part.rowOffsets) part.rowOffsets += first;
  advance(part.bias, first * part.biasStep, part.a.dtype);
  if (part.ragged == GroupedGemm::Ragged::rows) {
    advance(part.b.data, first * part.bStep, part.b.dtype);
    return part;
  }
  advance(part.c, first * part.cStep, part.cType);
  advance(part.residual, first * part.cStep, part.residualType);
  advance(part.preActivation, first * part.cStep, part.cType);
  return part;
}

}  // namespace

void groupedGemm(const GroupedGemm& problem) {
  if (problem.m == 0 || problem.n == 0 || problem.groups == 0) return;
  // The most blocks of a grid along z.
  constexpr int64_t kGroups = 65535;
  if (problem.groups > kGroups) {
    for (int64_t first = 0; first < problem.groups; first += kGroups)
      groupedGemm(partOf(problem, first, std::min(kGroups, problem.groups - first)));
    return;
  }
  if (groupedMma(problem)) return;
  byType(problem.a.dtype,
         [&](auto from) { byType(problem.cType, [&](auto to) { launch<decltype(from), decltype(to)>(problem); }); });
}

}  // namespace hint::cuda
