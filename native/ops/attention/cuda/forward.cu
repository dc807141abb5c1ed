#include "native/ops/attention/cuda/mma.cuh"

namespace hint {
namespace attention::tiles {
namespace {

/// One tile of queries of one head per block, over all keys, with an online softmax. Four threads share a row: each has
/// every fourth key of a tile and every fourth column of the output.
template <typename T, int kDim>
__global__ void __launch_bounds__(kThreads)
    forwardTile(Shape g, const T* q, Segments<T> k, Segments<T> v, const T* bias, T* o, float* logSumExp) {
  extern __shared__ float shared[];
  const Tile<kDim> queries{shared}, keys{queries.data + Tile<kDim>::kFloats}, values{keys.data + Tile<kDim>::kFloats};
  constexpr int kStride = kTile + 1;
  float *probabilities = values.data + Tile<kDim>::kFloats, *mask = probabilities + kTile * kStride;

  const QueryTile tile = g.queryTiles[blockIdx.x];
  const DeviceSequence s = g.sequences[tile.sequence];
  const int head = blockIdx.y, first = tile.first, count = min(kTile, s.queries - first);
  const int64_t unit = int64_t{head} * g.dim;
  const int context = g.contextKeys(s.task), total = context + s.keys;
  const int end = g.causal ? min(total, context + first + count) : total;
  const int row = threadIdx.x / kPerRow, part = threadIdx.x % kPerRow;

  queries.fill(g.dim, [&](int r) { return r < count ? q + (s.qBegin + first + r) * g.width + unit : nullptr; });
  float result[kDim / kPerRow] = {}, maximum = -INFINITY, sum = 0;
  for (int base = 0; base < end; base += kTile) {
    __syncthreads();
    keys.fill(g.dim, [&](int r) { return base + r < total ? k.key(g, tile.sequence, s, base + r) + unit : nullptr; });
    values.fill(g.dim, [&](int r) { return base + r < total ? v.key(g, tile.sequence, s, base + r) + unit : nullptr; });
    if (g.mask.active && threadIdx.x < kTile / 4)
      g.mask.quad(static_cast<uint32_t>(tile.sequence * g.heads + head), static_cast<uint32_t>(base + 4 * threadIdx.x),
                  mask + 4 * threadIdx.x);
    __syncthreads();

    float scores[kTile / kPerRow], tileMaximum = -INFINITY;
#pragma unroll
    for (int c = 0; c < kTile / kPerRow; ++c) {
      const int j = base + part + kPerRow * c, own = j - context;
      float score = dot<kDim>(queries.row(row), keys.row(part + kPerRow * c));
      if (bias && own >= 0) score += load(bias + g.buckets.of(own - first - row) * g.heads + head);
      if (j >= total || (g.causal && own > first + row)) score = -INFINITY;
      scores[c] = score;
      tileMaximum = fmaxf(tileMaximum, score);
    }
    const float larger = fmaxf(maximum, rowMaximum(tileMaximum));
    // A row that has seen no key yet keeps zeros: its maximum is not a number to subtract.
    const float offset = larger == -INFINITY ? 0.0f : larger, correction = expf(maximum - offset);
    float tileSum = 0;
#pragma unroll
    for (int c = 0; c < kTile / kPerRow; ++c) {
      const int column = part + kPerRow * c;
      const float p = expf(scores[c] - offset);
      tileSum += p;
      probabilities[row * kStride + column] = g.mask.active ? p * mask[column] : p;
    }
    sum = sum * correction + rowSum(tileSum);
    maximum = larger;
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kDim / kPerRow; ++i) result[i] *= correction;
    for (int j = 0; j < kTile; ++j) {
      const float p = probabilities[row * kStride + j];
#pragma unroll
      for (int i = 0; i < kDim / kPerRow; ++i) result[i] += p * values.row(j)[part + kPerRow * i];
    }
  }
  if (row >= count) return;
  const int64_t at = s.oBegin + first + row;
  for (int i = 0; i < kDim / kPerRow; ++i) {
    const int d = part + kPerRow * i;
    if (d < g.dim) put(o + at * g.width + unit + d, result[i] / sum);
  }
  if (logSumExp && part == 0) logSumExp[at * g.heads + head] = maximum + logf(sum);
}

template <typename T, int kDim>
void launch(const Call& call, const Plan& plan) {
  constexpr int kBytes = (3 * Tile<kDim>::kFloats + kTile * (kTile + 1) + kTile) * static_cast<int>(sizeof(float));
  const dim3 grid(static_cast<unsigned>(plan.queryTiles), blocksAcross(plan.shape.heads, "heads"));
  forwardTile<T, kDim><<<grid, kThreads, sharedMemory(forwardTile<T, kDim>, kBytes), Context::current().stream()>>>(
      plan.shape, input<T>(call, kQ),
      Segments<T>{input<T>(call, kPrefixKey), input<T>(call, kSharedKey), input<T>(call, kK)},
      Segments<T>{input<T>(call, kPrefixValue), input<T>(call, kSharedValue), input<T>(call, kV)},
      input<T>(call, kBias), output<T>(call, kO), output<float>(call, kLogSumExp));
  launched();
}

}  // namespace

void forwardCuda(Call& call) {
  if (attendDecoding(call)) return;
  const bool tensorCores = fitsTensorCores(call);
  const Plan plan(call, tensorCores ? kMmaTile : kTile);
  if (plan.queryTiles == 0) return;
  if (tensorCores) {
    byHeadDim(call, plan.shape.dim, [&](auto dim) { mmaForward<decltype(dim)::value>(call, plan); });
    return;
  }
  byType(call.in(kQ).dtype, [&](auto type) {
    byHeadDim(call, plan.shape.dim, [&](auto dim) { launch<decltype(type), decltype(dim)::value>(call, plan); });
  });
}

}  // namespace attention::tiles

Kernels cuda_attention() { return {attention::tiles::forwardCuda, attention::tiles::backwardCuda}; }

}  // namespace hint
