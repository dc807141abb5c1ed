#pragma once

#include "native/ops/attention/attention.h"
#include "native/ops/attention/geometry.h"
#include "native/ops/common/cuda/buckets.cuh"
#include "native/runtime/cuda/shared_memory.h"

/// What the CUDA kernels of attention share: the geometry of a call on the device, and tiles of queries and keys.
///
/// The kernels of this folder's cuda_*.cu work on tiles of 32 queries by 32 keys with 128 threads, those of
/// cuda_mma*.cu on tiles of 64 queries on tensor cores. The keys of a sequence are numbered through its three segments,
/// prefix, shared and own, so that one loop passes over all of them whatever their lengths.
namespace hint::attention::tiles {

using namespace cuda;

constexpr int kTile = 32, kThreads = 128, kPerRow = kThreads / kTile;
/// The most queries over which one block sums the gradient of a context key; for more queries there are several blocks,
/// and partial sums.
constexpr int kQueriesPerPart = 512;
/// The next step in the error when the sums of a bias gradient exceed a block's shared memory.
constexpr const char* kFewerBuckets = "use fewer buckets of relative positions";

/// A sequence in the form that kernels read; the host writes its fields as integers.
struct DeviceSequence {
  int32_t qBegin, queries, oBegin, kBegin, keys, task;
};
struct QueryTile {
  int32_t sequence, first;
};
/// A tile of a segment's keys, from `first`, against query tiles [tileBegin, tileEnd). `owner` is the sequence of own
/// keys, the task of others.
struct KeyItem {
  int32_t segment, owner, first, tileBegin, tileEnd;
};
/// Keys of a prefix or shared segment whose partial sums are items [begin, end).
struct ContextTile {
  int32_t segment, owner, first, begin, end;
};
enum Segment { kPrefixSegment, kSharedSegment, kOwnSegment };

/// Sizes and tables that every kernel reads.
struct Shape {
  const DeviceSequence* sequences;
  const int32_t* sharedBegin;
  const QueryTile* queryTiles;
  Buckets buckets;
  Mask mask;
  int64_t width, prefixStride, prefixBase;
  int heads, dim, prefix, tile;  ///< tile: queries, and keys in the backward pass
  bool causal;

  __device__ int sharedKeys(int task) const { return sharedBegin[task + 1] - sharedBegin[task]; }
  __device__ int contextKeys(int task) const { return prefix + sharedKeys(task); }
};

/// The three tensors that hold one kind of rows, keys or values.
template <typename T>
struct Segments {
  const T *prefix, *shared, *own;

  /// Row `index` of a segment of `owner`'s.
  __device__ const T* row(const Shape& g, int segment, int owner, int index) const {
    if (segment == kPrefixSegment) return prefix + (owner * g.prefixStride + g.prefixBase + index) * g.width;
    if (segment == kSharedSegment) return shared + (g.sharedBegin[owner] + index) * g.width;
    return own + (g.sequences[owner].kBegin + index) * g.width;
  }
  /// Key `j` of all those that sequence `index` sees.
  __device__ const T* key(const Shape& g, int index, const DeviceSequence& s, int j) const {
    if (j < g.prefix) return row(g, kPrefixSegment, s.task, j);
    const int context = g.contextKeys(s.task);
    return j < context ? row(g, kSharedSegment, s.task, j - g.prefix) : row(g, kOwnSegment, index, j - context);
  }
};

/// A tile in shared memory. Rows are padded so that threads of a warp that read successive rows have no bank conflict.
template <int kDim>
struct Tile {
  static constexpr int kStride = kDim + 1, kFloats = kTile * kStride;
  float* data;
  __device__ float* row(int r) const { return data + r * kStride; }

  /// Fills the tile from `rowOf(r)`, null for a row of zeros. Columns beyond `dim` become zero.
  template <typename RowOf>
  __device__ void fill(int dim, const RowOf& rowOf) const {
    for (int i = threadIdx.x; i < kTile * kDim; i += kThreads) {
      const int r = i / kDim, d = i % kDim;
      const auto* from = rowOf(r);
      row(r)[d] = from && d < dim ? load(from + d) : 0.0f;
    }
  }
};

template <int kDim>
__device__ inline float dot(const float* a, const float* b) {
  float sum = 0;
#pragma unroll 8
  for (int d = 0; d < kDim; ++d) sum += a[d] * b[d];
  return sum;
}

/// Sum over the four threads of a row.
__device__ inline float rowSum(float value) {
  value += __shfl_xor_sync(0xFFFFFFFFu, value, 1);
  return value + __shfl_xor_sync(0xFFFFFFFFu, value, 2);
}
__device__ inline float rowMaximum(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, 2));
}

/// The tables of a call. They are made on the host; equal tables are copied to the device once.
struct Plan {
  /// Plans tiles of `tile` queries.
  Plan(const Call& call, int tile);

  Geometry geometry;
  Shape shape;
  int queryTiles = 0;
  IntList ownItems, contextItems, contextTiles;  ///< KeyItem, KeyItem and ContextTile as integers

  int ownCount() const { return static_cast<int>(ownItems.size() / 5); }
  int contextCount() const { return static_cast<int>(contextItems.size() / 5); }
  int contextTileCount() const { return static_cast<int>(contextTiles.size() / 5); }
};

/// Runs body(std::integral_constant<int, D>) with D = 64 or 128, the smaller one that holds a head; throws
/// NOT_SUPPORTED beyond.
template <typename Body>
void byHeadDim(const Call& call, int64_t dim, Body body) {
  if (dim <= 64)
    body(std::integral_constant<int, 64>{});
  else if (dim <= 128)
    body(std::integral_constant<int, 128>{});
  else
    fail("NOT_SUPPORTED", call.describe(), ": heads of ", dim, " units are too wide for CUDA, at most 128.");
}

void backwardCuda(Call& call);

/// Runs calls with one query per sequence and without bias or dropout, as decoding makes them, with the kernels of
/// decode_attention, which need no tile of queries. Returns false, and runs nothing, for other calls.
bool attendDecoding(const Call& call);

}  // namespace hint::attention::tiles
