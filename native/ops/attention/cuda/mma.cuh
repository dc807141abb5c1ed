#pragma once

#include "native/ops/attention/cuda/backward.cuh"
#include "native/runtime/cuda/fragments.cuh"

/// Attention of bf16 tensors on tensor cores: the same geometry and sums as the f32 kernels, with products of tiles in
/// place of dot products.
///
/// A block has a tile of 64 rows of one head, 16 for each of its 4 warps, and passes over tiles of the other side, two
/// of which take turns: one is computed on while the next is copied in. 64 rows, not 128, because ragged sequences of
/// one or two hundred tokens would leave much of a larger tile empty, and because shared memory and registers then hold
/// three or four blocks on a multiprocessor of an A100 or H100, so that one's softmax runs beside another's products.
/// Heads of 128 units meet tiles of 32 for the same reason.
namespace hint::attention::tiles {

constexpr int kMmaTile = 64, kMmaThreads = 128;
/// Rows of the other side's tiles.
template <int kDim>
constexpr int kMmaOther = kDim <= 64 ? 64 : 32;
/// Exponentials are computed in base 2, for which the hardware has an instruction.
constexpr float kLog2E = 1.4426950408889634f;

/// Whether a call can run on tensor cores: bf16, heads of a multiple of 8 units up to 128, all rows on 16 bytes.
bool fitsTensorCores(const Call& call);

/// The biases of a tile of queries against a tile of keys, times log2(e): one per diagonal, because a bias depends on
/// the distance between key and query only.
template <int kQueries, int kKeys>
struct Diagonals {
  static constexpr int kCount = kQueries + kKeys - 1;
  float* data;

  /// `relative` is that of the first key to the first query. All threads of the block call it.
  __device__ void fill(const Shape& g, const bf16* bias, int head, int relative) const {
    for (int e = threadIdx.x; e < kCount; e += kMmaThreads) {
      const int bucket = g.buckets.of(relative - (kQueries - 1) + e);
      data[e] = kLog2E * load(bias + bucket * g.heads + head);
    }
  }
  __device__ float of(int query, int key) const { return data[key - query + kQueries - 1]; }
};

template <int kDim>
void mmaForward(const Call& call, const Plan& plan);

/// queryGradients and keyGradients on tensor cores, for plans with tiles of kMmaTile.
template <int kDim>
void mmaQueryGradients(const Call& call, const Plan& plan, const BackwardInputs<bf16>& inputs,
                       QueryGradient<bf16> gradient, float* biasSums, int buckets);
template <int kDim>
void mmaKeyGradients(const Plan& plan, const BackwardInputs<bf16>& inputs, const IntList& items, bf16* ownK,
                     float betaK, bf16* ownV, float betaV, float* partialK, float* partialV);

}  // namespace hint::attention::tiles
