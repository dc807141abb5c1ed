#include "native/ops/attention/cuda/backward.cuh"

namespace hint::attention::tiles {
namespace {

constexpr int kStride = kTile + 1, kDiagonals = 2 * kTile - 1;

/// One tile of queries of one head per block, over all keys. Probabilities are computed again from logSumExp.
template <typename T, int kDim>
__global__ void __launch_bounds__(kThreads)
    queryTile(Shape g, BackwardInputs<T> in, QueryGradient<T> gradient, float* biasSums, int buckets) {
  extern __shared__ float shared[];
  constexpr int kFloats = Tile<kDim>::kFloats;
  const Tile<kDim> queries{shared}, gradients{shared + kFloats}, keys{shared + 2 * kFloats},
      values{shared + 3 * kFloats};
  float *dS = shared + 4 * kFloats, *mask = dS + kTile * kStride, *diagonal = mask + kTile,
        *bins = diagonal + kDiagonals;

  const QueryTile tile = g.queryTiles[blockIdx.x];
  const DeviceSequence s = g.sequences[tile.sequence];
  const int head = blockIdx.y, first = tile.first, count = min(kTile, s.queries - first);
  const int64_t unit = int64_t{head} * g.dim;
  const int context = g.contextKeys(s.task), total = context + s.keys;
  const int end = g.causal ? min(total, context + first + count) : total;
  const int row = threadIdx.x / kPerRow, part = threadIdx.x % kPerRow;
  const int64_t oRow = s.oBegin + first + row;
  const bool present = row < count;
  const float logSumExp = present ? in.logSumExp[oRow * g.heads + head] : 0.0f;
  const float delta = present ? in.delta[oRow * g.heads + head] : 0.0f;

  queries.fill(g.dim, [&](int r) { return r < count ? in.q + (s.qBegin + first + r) * g.width + unit : nullptr; });
  gradients.fill(g.dim,
                 [&](int r) { return r < count ? in.gradientO + (s.oBegin + first + r) * g.width + unit : nullptr; });
  for (int b = threadIdx.x; b < buckets; b += kThreads) bins[b] = 0.0f;
  float result[kDim / kPerRow] = {};
  for (int base = 0; base < end; base += kTile) {
    __syncthreads();
    keys.fill(g.dim,
              [&](int r) { return base + r < total ? in.k.key(g, tile.sequence, s, base + r) + unit : nullptr; });
    values.fill(g.dim,
                [&](int r) { return base + r < total ? in.v.key(g, tile.sequence, s, base + r) + unit : nullptr; });
    if (g.mask.active && threadIdx.x < kTile / 4)
      g.mask.quad(static_cast<uint32_t>(tile.sequence * g.heads + head), static_cast<uint32_t>(base + 4 * threadIdx.x),
                  mask + 4 * threadIdx.x);
    __syncthreads();
#pragma unroll
    for (int c = 0; c < kTile / kPerRow; ++c) {
      const int column = part + kPerRow * c, j = base + column, own = j - context;
      float score = dot<kDim>(queries.row(row), keys.row(column));
      if (in.bias && own >= 0) score += load(in.bias + g.buckets.of(own - first - row) * g.heads + head);
      const bool visible = present && j < total && !(g.causal && own > first + row);
      const float p = visible ? expf(score - logSumExp) : 0.0f;
      const float dP = dot<kDim>(gradients.row(row), values.row(column));
      dS[row * kStride + column] = p * ((g.mask.active ? mask[column] : 1.0f) * dP - delta);
    }
    __syncwarp();
    for (int j = 0; j < kTile; ++j) {
      const float d = dS[row * kStride + j];
#pragma unroll
      for (int i = 0; i < kDim / kPerRow; ++i) result[i] += d * keys.row(j)[part + kPerRow * i];
    }
    if (!biasSums || base + kTile <= context) continue;
    // Elements of a diagonal have one relative position, hence one bucket. All sums run in a fixed order.
    __syncthreads();
    if (threadIdx.x < kDiagonals) {
      float sum = 0;
      for (int r = 0; r < kTile; ++r) {
        const int column = static_cast<int>(threadIdx.x) - (kTile - 1) + r;
        if (column >= 0 && column < kTile && base + column >= context) sum += dS[r * kStride + column];
      }
      diagonal[threadIdx.x] = sum;
    }
    __syncthreads();
    const int nearest = base - context - first - (kTile - 1);
    for (int b = threadIdx.x; b < buckets; b += kThreads) {
      // Most of a long sequence falls into one bucket. Each tile is summed before it is added to the total, which keeps
      // the rounding error small.
      float sum = 0;
      for (int e = 0; e < kDiagonals; ++e)
        if (g.buckets.of(nearest + e) == b) sum += diagonal[e];
      bins[b] += sum;
    }
  }
  if (biasSums)
    for (int b = threadIdx.x; b < buckets; b += kThreads)
      biasSums[(int64_t{blockIdx.x} * g.heads + head) * buckets + b] = bins[b];
  if (!present) return;
  for (int i = 0; i < kDim / kPerRow; ++i) {
    const int d = part + kPerRow * i;
    if (d >= g.dim) continue;
    if (gradient.perRun)
      gradient.perRun[oRow * g.width + unit + d] = result[i];
    else if (gradient.direct)
      store(gradient.direct + (s.qBegin + first + row) * g.width + unit + d, gradient.beta, result[i]);
  }
}

}  // namespace

template <typename T, int kDim>
void queryGradients(const Plan& plan, const BackwardInputs<T>& inputs, QueryGradient<T> gradient, float* biasSums,
                    int buckets) {
  if (plan.queryTiles == 0) return;
  const int64_t bytes =
      (4 * Tile<kDim>::kFloats + kTile * kStride + kTile + kDiagonals + buckets) * static_cast<int>(sizeof(float));
  const dim3 grid(static_cast<unsigned>(plan.queryTiles), blocksAcross(plan.shape.heads, "heads"));
  queryTile<T, kDim>
      <<<grid, kThreads, sharedMemory(queryTile<T, kDim>, bytes, kFewerBuckets), Context::current().stream()>>>(
          plan.shape, inputs, gradient, biasSums, buckets);
  launched();
}

#define HINT_INSTANTIATE(T, D) \
  template void queryGradients<T, D>(const Plan&, const BackwardInputs<T>&, QueryGradient<T>, float*, int);
HINT_INSTANTIATE(float, 64)
HINT_INSTANTIATE(float, 128)
HINT_INSTANTIATE(bf16, 64)
HINT_INSTANTIATE(bf16, 128)
#undef HINT_INSTANTIATE

}  // namespace hint::attention::tiles
