#include "native/runtime/cuda/fragments.cuh"
#include "native/runtime/cuda/grouped_gemm.cuh"
#include "native/runtime/cuda/shared_memory.h"

namespace hint::cuda {
namespace {

/// Elements of the inner dimension per stage, and number of stages: three copies in flight hide the latency of device
/// memory while the fourth stage is multiplied.
constexpr int kDepth = 32, kStages = 4;

/// A stage of one operand in shared memory: kSize rows or columns of the product by kDepth of the inner dimension, laid
/// out as the matrix is in memory, so that copies are always of 16 bytes along its rows.
template <int kSize, bool kDepthIsRow>
struct Stage {
  static constexpr int kRows = kDepthIsRow ? kDepth : kSize;
  using Rows = MmaTile<kDepthIsRow ? kSize : kDepth>;
  static constexpr int kBytes = Rows::bytes(kRows);

  /// Begins to copy a stage: rows or columns from `first` on of `size`, and the inner dimension from `depth` on of `k`.
  /// Rows of `matrix` are `stride` elements apart.
  __device__ static void fill(Rows tile, const bf16* matrix, int64_t stride, int64_t first, int64_t size, int64_t depth,
                              int64_t k, int threads) {
    const int64_t row0 = kDepthIsRow ? depth : first, column0 = kDepthIsRow ? first : depth;
    const int64_t rows = kDepthIsRow ? k : size, columns = kDepthIsRow ? size : k;
    const int inside = static_cast<int>(min(columns - column0, int64_t{kSize + kDepth}));
    tile.fill(kRows, inside, threads, matrix,
              [&](int r) { return row0 + r < rows ? matrix + (row0 + r) * stride + column0 : nullptr; });
  }
};

/// Each block computes one tile of C with 2 x kWarps warps, each of 16 kRowTiles x 32 elements. The f32 sums pass
/// through shared memory, so that the epilogue reads and writes 16 bytes at a time.
template <int kRowTiles, int kWarps, bool kLeftTransposed, bool kRightTransposed, typename C>
__global__ void __launch_bounds__(64 * kWarps, 2)
    mmaProduct(GroupedArguments g, const bf16* a, const bf16* b, GroupedOutput<bf16, C> out) {
  extern __shared__ __align__(128) float shared[];
  constexpr int kM = 32 * kRowTiles, kN = 32 * kWarps, kThreads = 64 * kWarps;
  using Left = Stage<kM, kLeftTransposed>;
  using Right = Stage<kN, !kRightTransposed>;
  auto* memory = reinterpret_cast<unsigned char*>(shared);
  const auto left = [&](int stage) {
    return typename Left::Rows{reinterpret_cast<bf16*>(memory + stage * (Left::kBytes + Right::kBytes))};
  };
  const auto right = [&](int stage) {
    return
        typename Right::Rows{reinterpret_cast<bf16*>(memory + stage * (Left::kBytes + Right::kBytes) + Left::kBytes)};
  };

  const GroupedArguments::Part part = g.part(blockIdx.z);
  const auto place = g.place<kM, kN>();
  const int64_t row0 = place.row, column0 = place.column;
  if (row0 >= part.m) return;
  a += part.a;
  b += part.b;
  const int warp = threadIdx.x / 32, warpRow = warp / kWarps * 16 * kRowTiles, warpColumn = warp % kWarps * 32;
  const int steps = static_cast<int>((part.k + kDepth - 1) / kDepth);
  const auto fetch = [&](int step) {
    if (step < steps) {
      const int64_t depth = int64_t{step} * kDepth;
      Left::fill(left(step % kStages), a, g.aStride, row0, part.m, depth, part.k, kThreads);
      Right::fill(right(step % kStages), b, g.bStride, column0, g.n, depth, part.k, kThreads);
    }
    commitCopies();  // also when there was nothing to copy, because waits count groups
  };

  float sum[kRowTiles][4][4] = {};
#pragma unroll
  for (int step = 0; step < kStages - 1; ++step) fetch(step);
  for (int step = 0; step < steps; ++step) {
    awaitCopies<kStages - 2>();
    // After the barrier no warp reads the stage before this one, so it can be filled again.
    __syncthreads();
    fetch(step + kStages - 1);
    const auto tileA = left(step % kStages);
    const auto tileB = right(step % kStages);
#pragma unroll
    for (int k = 0; k < kDepth; k += 16) {
      uint32_t columns[2][4];
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        if constexpr (kRightTransposed)
          tileB.rightTransposed(columns[n], k, warpColumn + 16 * n);
        else
          tileB.right(columns[n], k, warpColumn + 16 * n);
      }
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        uint32_t rows[4];
        if constexpr (kLeftTransposed)
          tileA.leftTransposed(rows, warpRow + 16 * m, k);
        else
          tileA.left(rows, warpRow + 16 * m, k);
#pragma unroll
        for (int n = 0; n < 4; ++n) multiply(sum[m][n], rows, columns[n / 2][n % 2 * 2], columns[n / 2][n % 2 * 2 + 1]);
      }
    }
  }
  awaitCopies<0>();
  __syncthreads();

  constexpr int kStride = kN + 8;  // of f32: eight banks per row, against conflicts of the pairs of half a warp
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m)
#pragma unroll
    for (int n = 0; n < 4; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        storePair(
            shared + (warpRow + 16 * m + 8 * half + fragmentRow()) * kStride + warpColumn + 8 * n + fragmentColumn(),
            0.0f, sum[m][n][2 * half], sum[m][n][2 * half + 1]);
  __syncthreads();
  for (int i = threadIdx.x; i < kM * kN / 8; i += kThreads) {
    const int r = i / (kN / 8), c = i % (kN / 8) * 8;
    if (row0 + r < part.m && column0 + c < g.n)
      out.eight(part.c + (row0 + r) * g.cStride + column0 + c, blockIdx.z * out.biasStep + column0 + c,
                loadEight(shared + r * kStride + c));
  }
}

template <int kRowTiles, int kWarps, bool kLeftTransposed, bool kRightTransposed, typename C>
void launch(const GroupedGemm& p) {
  constexpr int kM = 32 * kRowTiles, kN = 32 * kWarps;
  constexpr int kInput = kStages * (Stage<kM, kLeftTransposed>::kBytes + Stage<kN, !kRightTransposed>::kBytes);
  constexpr int kSums = kM * (kN + 8) * static_cast<int>(sizeof(float)), kBytes = kInput > kSums ? kInput : kSums;
  const size_t shared = sharedMemory(mmaProduct<kRowTiles, kWarps, kLeftTransposed, kRightTransposed, C>, kBytes);
  const dim3 grid = GroupedArguments::grid<kM, kN>(p);
  const auto *a = static_cast<const bf16*>(p.a.data), *b = static_cast<const bf16*>(p.b.data);
  mmaProduct<kRowTiles, kWarps, kLeftTransposed, kRightTransposed, C>
      <<<grid, 64 * kWarps, shared, Context::current().stream()>>>(GroupedArguments(p), a, b,
                                                                   GroupedOutput<bf16, C>(p));
  launched();
}

/// Whether tiles of 128 rows are used. They are not when the partly used last tiles of the groups make them multiply a
/// fifth more rows than tiles of 64. All groups are counted, because one large group says nothing about the others.
bool areRowsMany(const GroupedGemm& p) { return p.tilesOf64 > 0 ? 2 * p.tilesOf128 * 5 <= p.tilesOf64 * 6 : p.m > 64; }

/// Tiles are 128x128 when that gives every multiprocessor two blocks, otherwise 64x64. Adapters are narrow and tasks
/// have few rows, and with large tiles most multiprocessors would have no work.
template <bool kLeftTransposed, bool kRightTransposed, typename C>
void choose(const GroupedGemm& p) {
  const int64_t rowTiles = p.tilesOf64 > 0 ? p.tilesOf128 : (p.m + 127) / 128 * p.groups;
  const int64_t large = rowTiles * ((p.n + 127) / 128);
  if (p.n > 64 && areRowsMany(p) && large >= 2 * int64_t{Context::current().multiprocessors()})
    launch<4, 4, kLeftTransposed, kRightTransposed, C>(p);
  else
    launch<2, 2, kLeftTransposed, kRightTransposed, C>(p);
}

}  // namespace

bool groupedMma(const GroupedGemm& p) {
  if (p.a.dtype != DType::bf16 || p.b.dtype != DType::bf16 || (p.a.transposed && p.b.transposed)) return false;
  for (const void* address : {p.a.data, p.b.data, static_cast<const void*>(p.c), p.bias, p.residual,
                              static_cast<const void*>(p.preActivation)})
    if (!isAligned(address)) return false;
  for (int64_t size : {p.a.stride, p.b.stride, p.cStride, p.bStep, p.cStep, p.biasStep, p.n})
    if (size % 8 != 0) return false;
  // Copies are of 8 elements along the stored rows, which the inner dimension and the rows of a transposed A must fill.
  if (!p.a.transposed && p.k % 8 != 0) return false;
  if (p.a.transposed && p.m % 8 != 0) return false;
  const bool isWide = p.cType == DType::f32;
  // Results and gradients of B can be f32; the gradient of A never is, so that case is not compiled.
  if (isWide && p.b.transposed) return false;
  if (isWide && p.a.transposed)
    choose<true, false, float>(p);
  else if (isWide)
    choose<false, false, float>(p);
  else if (p.a.transposed)
    choose<true, false, bf16>(p);
  else if (p.b.transposed)
    choose<false, true, bf16>(p);
  else
    choose<false, false, bf16>(p);
  return true;
}

}  // namespace hint::cuda
