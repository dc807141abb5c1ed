#include "native/ops/attention/cuda/backward.cuh"

namespace hint::attention::tiles {
namespace {

constexpr int kStride = kTile + 1;

/// One item, a tile of keys of one segment against a range of query tiles, of one head per block. Four threads share a
/// key: each has every fourth query of a tile and every fourth column of the gradients.
template <typename T, int kDim>
__global__ void __launch_bounds__(kThreads)
    keyTile(Shape g, BackwardInputs<T> in, const KeyItem* items, T* ownK, float betaK, T* ownV, float betaV,
            float* partialK, float* partialV) {
  extern __shared__ float shared[];
  constexpr int kFloats = Tile<kDim>::kFloats;
  const Tile<kDim> keys{shared}, values{shared + kFloats}, queries{shared + 2 * kFloats},
      gradients{shared + 3 * kFloats};
  float *probabilities = shared + 4 * kFloats, *dS = probabilities + kTile * kStride, *mask = dS + kTile * kStride,
        *logSumExp = mask + kTile, *delta = logSumExp + kTile;

  const KeyItem item = items[blockIdx.x];
  const bool own = item.segment == kOwnSegment;
  const int head = blockIdx.y, task = own ? g.sequences[item.owner].task : item.owner;
  const int64_t unit = int64_t{head} * g.dim;
  const int segmentKeys = own                              ? g.sequences[item.owner].keys
                          : item.segment == kPrefixSegment ? g.prefix
                                                           : g.sharedKeys(task);
  const int count = min(kTile, segmentKeys - item.first);
  // Index of the tile's first key among all keys that a sequence sees.
  const int firstIndex = item.first + (own ? g.contextKeys(task) : item.segment == kSharedSegment ? g.prefix : 0);
  const int row = threadIdx.x / kPerRow, part = threadIdx.x % kPerRow;

  keys.fill(g.dim,
            [&](int r) { return r < count ? in.k.row(g, item.segment, item.owner, item.first + r) + unit : nullptr; });
  values.fill(
      g.dim, [&](int r) { return r < count ? in.v.row(g, item.segment, item.owner, item.first + r) + unit : nullptr; });
  float resultK[kDim / kPerRow] = {}, resultV[kDim / kPerRow] = {};
  for (int t = item.tileBegin; t < item.tileEnd; ++t) {
    const QueryTile tile = g.queryTiles[t];
    const DeviceSequence s = g.sequences[tile.sequence];
    const int first = tile.first, rows = min(kTile, s.queries - first);
    if (own && g.causal && first + rows <= item.first) continue;  // every query comes before these keys
    __syncthreads();
    queries.fill(g.dim, [&](int r) { return r < rows ? in.q + (s.qBegin + first + r) * g.width + unit : nullptr; });
    gradients.fill(g.dim,
                   [&](int r) { return r < rows ? in.gradientO + (s.oBegin + first + r) * g.width + unit : nullptr; });
    if (threadIdx.x < kTile) {
      const int r = threadIdx.x;
      const int64_t at = (int64_t{s.oBegin} + first + r) * g.heads + head;
      logSumExp[r] = r < rows ? in.logSumExp[at] : 0.0f;
      delta[r] = r < rows ? in.delta[at] : 0.0f;
      mask[r] = g.mask.active ? g.mask.scale(static_cast<uint32_t>(tile.sequence * g.heads + head),
                                             static_cast<uint32_t>(firstIndex + r))
                              : 1.0f;
    }
    __syncthreads();
#pragma unroll
    for (int c = 0; c < kTile / kPerRow; ++c) {
      const int query = part + kPerRow * c, relative = item.first + row - first - query;
      float score = dot<kDim>(keys.row(row), queries.row(query));
      if (own && in.bias) score += load(in.bias + g.buckets.of(relative) * g.heads + head);
      const bool visible = row < count && query < rows && !(own && g.causal && relative > 0);
      const float p = visible ? expf(score - logSumExp[query]) : 0.0f;
      const float dP = dot<kDim>(values.row(row), gradients.row(query));
      probabilities[row * kStride + query] = p * mask[row];
      dS[row * kStride + query] = p * (mask[row] * dP - delta[query]);
    }
    __syncwarp();
    for (int i = 0; i < kTile; ++i) {
      const float p = probabilities[row * kStride + i], d = dS[row * kStride + i];
#pragma unroll
      for (int x = 0; x < kDim / kPerRow; ++x) {
        resultV[x] += p * gradients.row(i)[part + kPerRow * x];
        resultK[x] += d * queries.row(i)[part + kPerRow * x];
      }
    }
  }
  if (row >= count) return;
  for (int x = 0; x < kDim / kPerRow; ++x) {
    const int d = part + kPerRow * x;
    if (d >= g.dim) continue;
    if (own) {
      const int64_t at = (int64_t{g.sequences[item.owner].kBegin} + item.first + row) * g.width + unit + d;
      if (ownK) store(ownK + at, betaK, resultK[x]);
      if (ownV) store(ownV + at, betaV, resultV[x]);
    } else {
      const int64_t at = ((int64_t{blockIdx.x} * g.heads + head) * kTile + row) * g.dim + d;
      if (partialK) partialK[at] = resultK[x];
      if (partialV) partialV[at] = resultV[x];
    }
  }
}

}  // namespace

template <typename T, int kDim>
void keyGradients(const Plan& plan, const BackwardInputs<T>& inputs, const IntList& items, T* ownK, float betaK,
                  T* ownV, float betaV, float* partialK, float* partialV) {
  if (items.empty()) return;
  constexpr int kBytes = (4 * Tile<kDim>::kFloats + 2 * kTile * kStride + 3 * kTile) * static_cast<int>(sizeof(float));
  Context& context = Context::current();
  const dim3 grid(static_cast<unsigned>(items.size() / 5), blocksAcross(plan.shape.heads, "heads"));
  keyTile<T, kDim><<<grid, kThreads, sharedMemory(keyTile<T, kDim>, kBytes), context.stream()>>>(
      plan.shape, inputs, reinterpret_cast<const KeyItem*>(context.table(items)), ownK, betaK, ownV, betaV, partialK,
      partialV);
  launched();
}

#define HINT_INSTANTIATE(T, D)                                                                                  \
  template void keyGradients<T, D>(const Plan&, const BackwardInputs<T>&, const IntList&, T*, float, T*, float, \
                                   float*, float*);
HINT_INSTANTIATE(float, 64)
HINT_INSTANTIATE(float, 128)
HINT_INSTANTIATE(bf16, 64)
HINT_INSTANTIATE(bf16, 128)
#undef HINT_INSTANTIATE

}  // namespace hint::attention::tiles
