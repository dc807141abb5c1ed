#include "native/ops/attention/cuda/mma.cuh"

namespace hint::attention::tiles {
namespace {

/// One tile of queries of one head per block, over all keys, with an online softmax.
template <int kDim>
__global__ void __launch_bounds__(kMmaThreads)
    mmaTile(Shape g, const bf16* q, Segments<bf16> k, Segments<bf16> v, const bf16* bias, bf16* o, float* logSumExp) {
  extern __shared__ __align__(128) float shared[];
  constexpr int kKeys = kMmaOther<kDim>, kElements = kKeys * MmaTile<kDim>::kStride;
  using Bias = Diagonals<kMmaTile, kKeys>;
  auto* memory = reinterpret_cast<bf16*>(shared);
  const MmaTile<kDim> queries{memory};
  bf16* others = queries.row(kMmaTile);
  float *masks = reinterpret_cast<float*>(others + 4 * kElements), *biases = masks + 2 * kKeys;
  const auto keys = [&](int turn) { return MmaTile<kDim>{others + turn * kElements}; };
  const auto values = [&](int turn) { return MmaTile<kDim>{others + (2 + turn) * kElements}; };
  const auto diagonals = [&](int turn) { return Bias{biases + turn * (Bias::kCount + 1)}; };

  const QueryTile tile = g.queryTiles[blockIdx.x];
  const DeviceSequence s = g.sequences[tile.sequence];
  const int head = blockIdx.y, first = tile.first, count = min(kMmaTile, s.queries - first);
  const int64_t unit = int64_t{head} * g.dim;
  const int context = g.contextKeys(s.task), total = context + s.keys;
  const int end = g.causal ? min(total, context + first + count) : total;
  const int warpRow = threadIdx.x / 32 * 16, row = warpRow + fragmentRow(), column = fragmentColumn();

  const auto fetch = [&](int base) {
    const int turn = base / kKeys % 2;
    keys(turn).fill(kKeys, g.dim, kMmaThreads, q,
                    [&](int r) { return base + r < total ? k.key(g, tile.sequence, s, base + r) + unit : nullptr; });
    values(turn).fill(kKeys, g.dim, kMmaThreads, q,
                      [&](int r) { return base + r < total ? v.key(g, tile.sequence, s, base + r) + unit : nullptr; });
    commitCopies();
    if (g.mask.active && threadIdx.x < kKeys / 4)
      g.mask.quad(static_cast<uint32_t>(tile.sequence * g.heads + head), static_cast<uint32_t>(base + 4 * threadIdx.x),
                  masks + turn * kKeys + 4 * threadIdx.x);
    if (bias && base + kKeys > context) diagonals(turn).fill(g, bias, head, base - context - first);
  };

  queries.fill(kMmaTile, g.dim, kMmaThreads, q,
               [&](int r) { return r < count ? q + (s.qBegin + first + r) * g.width + unit : nullptr; });
  fetch(0);
  float result[kDim / 8][4] = {}, maximum[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  for (int base = 0; base < end; base += kKeys) {
    const int turn = base / kKeys % 2;
    awaitCopies<0>();
    // After the barrier no warp reads the tiles of the previous turn, so they can be filled again.
    __syncthreads();
    if (base + kKeys < end) fetch(base + kKeys);

    float scores[kKeys / 8][4] = {}, larger[2] = {maximum[0], maximum[1]};
    multiplyRows<kKeys>(scores, queries, warpRow, keys(turn));
    const bool biased = bias && base + kKeys > context;
    const bool whole = base + kKeys <= total && !(g.causal && base + kKeys - 1 - context > first);
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int r = row + i / 2 * 8, c = 8 * n + column + i % 2, own = base + c - context;
        float score = kLog2E * scores[n][i];
        if (biased && own >= 0) score += diagonals(turn).of(r, c);
        if (!whole && (base + c >= total || (g.causal && own > first + r))) score = -INFINITY;
        scores[n][i] = score;
        larger[i / 2] = fmaxf(larger[i / 2], score);
      }
    float offset[2], correction[2], tileSum[2] = {};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      larger[half] = rowMaximum(larger[half]);
      // A row that has seen no key yet keeps zeros: its maximum is not a number to subtract.
      offset[half] = larger[half] == -INFINITY ? 0.0f : larger[half];
      correction[half] = exp2f(maximum[half] - offset[half]);
      maximum[half] = larger[half];
    }
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float p = exp2f(scores[n][i] - offset[i / 2]);
        tileSum[i / 2] += p;
        scores[n][i] = g.mask.active ? p * masks[turn * kKeys + 8 * n + column + i % 2] : p;
      }
#pragma unroll
    for (int half = 0; half < 2; ++half) sum[half] = sum[half] * correction[half] + rowSum(tileSum[half]);
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) result[n][i] *= correction[i / 2];
    multiplyWeights<kKeys>(result, scores, values(turn));
  }

  // The results pass through the warp's own rows of the query tile, which no other warp reads, so that each lane stores
  // 16 bytes.
  __syncwarp();
#pragma unroll
  for (int n = 0; n < kDim / 8; ++n)
#pragma unroll
    for (int half = 0; half < 2; ++half)
      storePair(queries.row(row + 8 * half) + 8 * n + column, 0.0f, result[n][2 * half] / sum[half],
                result[n][2 * half + 1] / sum[half]);
  __syncwarp();
  for (int i = threadIdx.x % 32; i < 16 * kDim / 8; i += 32) {
    const int r = warpRow + i / (kDim / 8), d = i % (kDim / 8) * 8;
    if (r < count && d < g.dim)
      *reinterpret_cast<uint4*>(o + (s.oBegin + first + r) * g.width + unit + d) =
          *reinterpret_cast<const uint4*>(queries.row(r) + d);
  }
  if (logSumExp && column == 0)
    for (int half = 0; half < 2; ++half)
      if (row + 8 * half < count)
        logSumExp[(int64_t{s.oBegin} + first + row + 8 * half) * g.heads + head] =
            maximum[half] / kLog2E + logf(sum[half]);
}

}  // namespace

template <int kDim>
void mmaForward(const Call& call, const Plan& plan) {
  constexpr int kKeys = kMmaOther<kDim>;
  constexpr int kBytes = MmaTile<kDim>::bytes(kMmaTile + 4 * kKeys) +
                         2 * (kKeys + Diagonals<kMmaTile, kKeys>::kCount + 1) * static_cast<int>(sizeof(float));
  const dim3 grid(static_cast<unsigned>(plan.queryTiles), blocksAcross(plan.shape.heads, "heads"));
  mmaTile<kDim><<<grid, kMmaThreads, sharedMemory(mmaTile<kDim>, kBytes), Context::current().stream()>>>(
      plan.shape, input<bf16>(call, kQ),
      Segments<bf16>{input<bf16>(call, kPrefixKey), input<bf16>(call, kSharedKey), input<bf16>(call, kK)},
      Segments<bf16>{input<bf16>(call, kPrefixValue), input<bf16>(call, kSharedValue), input<bf16>(call, kV)},
      input<bf16>(call, kBias), output<bf16>(call, kO), output<float>(call, kLogSumExp));
  launched();
}

template void mmaForward<64>(const Call&, const Plan&);
template void mmaForward<128>(const Call&, const Plan&);

bool fitsTensorCores(const Call& call) {
  const int64_t dim = call.dim("width") / call.integer("numHeads");
  if (call.in(kQ).dtype != DType::bf16 || dim % 8 != 0 || dim > 128) return false;
  for (const auto* group : {&call.inputs, &call.outputs, &call.gradOutputs, &call.gradInputs})
    for (const Tensor& tensor : *group)
      if (tensor && !isAligned(addressOf(tensor))) return false;
  return true;
}

}  // namespace hint::attention::tiles
