#include "native/ops/attention/cuda/mma.cuh"

namespace hint::attention::tiles {
namespace {

/// One item, a tile of keys of one segment against a range of query tiles, of one head per block. Scores are computed
/// with a row per key, so that probabilities lie among the lanes as the left operands of both gradients.
template <int kDim>
__global__ void __launch_bounds__(kMmaThreads, kDim <= 64 ? 3 : 2)
    mmaKeyTile(Shape g, BackwardInputs<bf16> in, const KeyItem* items, bf16* ownK, float betaK, bf16* ownV, float betaV,
               float* partialK, float* partialV) {
  extern __shared__ __align__(128) float shared[];
  constexpr int kQueries = kMmaOther<kDim>, kElements = kQueries * MmaTile<kDim>::kStride;
  constexpr int kSteps = kMmaTile / kQueries;  // tiles of queries here per tile of the plan
  using Bias = Diagonals<kQueries, kMmaTile>;
  const MmaTile<kDim> keys{reinterpret_cast<bf16*>(shared)}, values{keys.row(kMmaTile)};
  bf16* others = values.row(kMmaTile);
  auto* statistics = reinterpret_cast<float2*>(others + 4 * kElements);  // of a query: log-sum-exp in base 2, delta
  float *masks = reinterpret_cast<float*>(statistics + 2 * kQueries), *biases = masks + 2 * kMmaTile;
  const auto queries = [&](int turn) { return MmaTile<kDim>{others + turn * kElements}; };
  const auto gradients = [&](int turn) { return MmaTile<kDim>{others + (2 + turn) * kElements}; };
  const auto diagonals = [&](int turn) { return Bias{biases + turn * (Bias::kCount + 1)}; };

  const KeyItem item = items[blockIdx.x];
  const bool own = item.segment == kOwnSegment, biased = own && in.bias;
  const int head = blockIdx.y, task = own ? g.sequences[item.owner].task : item.owner;
  const int64_t unit = int64_t{head} * g.dim;
  const int segmentKeys = own                              ? g.sequences[item.owner].keys
                          : item.segment == kPrefixSegment ? g.prefix
                                                           : g.sharedKeys(task);
  const int count = min(kMmaTile, segmentKeys - item.first);
  // Index of the tile's first key among all keys that a sequence sees.
  const int firstIndex = item.first + (own ? g.contextKeys(task) : item.segment == kSharedSegment ? g.prefix : 0);
  const int warpRow = threadIdx.x / 32 * 16, row = warpRow + fragmentRow(), column = fragmentColumn();

  const int steps = (item.tileEnd - item.tileBegin) * kSteps;
  const auto tileOf = [&](int step) {
    QueryTile tile = g.queryTiles[item.tileBegin + step / kSteps];
    tile.first += step % kSteps * kQueries;
    return tile;
  };
  // The first step from `step` on whose queries exist and see these keys.
  const auto next = [&](int step) {
    for (; step < steps; ++step) {
      const QueryTile tile = tileOf(step);
      const int rows = min(kQueries, g.sequences[tile.sequence].queries - tile.first);
      if (rows > 0 && !(own && g.causal && tile.first + rows <= item.first)) break;
    }
    return step;
  };
  const auto fetch = [&](int step, int turn) {
    const QueryTile tile = tileOf(step);
    const DeviceSequence s = g.sequences[tile.sequence];
    const int first = tile.first, rows = min(kQueries, s.queries - first);
    queries(turn).fill(kQueries, g.dim, kMmaThreads, in.q,
                       [&](int r) { return r < rows ? in.q + (s.qBegin + first + r) * g.width + unit : nullptr; });
    gradients(turn).fill(kQueries, g.dim, kMmaThreads, in.q, [&](int r) {
      return r < rows ? in.gradientO + (s.oBegin + first + r) * g.width + unit : nullptr;
    });
    commitCopies();
    if (threadIdx.x < kQueries) {
      const int r = threadIdx.x;
      const int64_t at = (int64_t{s.oBegin} + first + r) * g.heads + head;
      // Rows beyond the last query get an infinite log-sum-exp, which makes their probabilities zero.
      statistics[turn * kQueries + r] =
          r < rows ? make_float2(kLog2E * in.logSumExp[at], in.delta[at]) : make_float2(INFINITY, 0.0f);
    }
    if (threadIdx.x < kMmaTile)
      masks[turn * kMmaTile + threadIdx.x] = g.mask.active
                                                 ? g.mask.scale(static_cast<uint32_t>(tile.sequence * g.heads + head),
                                                                static_cast<uint32_t>(firstIndex) + threadIdx.x)
                                                 : 1.0f;
    if (biased) diagonals(turn).fill(g, in.bias, head, item.first - first);
  };

  const auto rowsOf = [&](const Segments<bf16>& segments) {
    return [&, segments](int r) {
      return r < count ? segments.row(g, item.segment, item.owner, item.first + r) + unit : nullptr;
    };
  };
  const auto keyRow = rowsOf(in.k), valueRow = rowsOf(in.v);
  keys.fill(kMmaTile, g.dim, kMmaThreads, keyRow(0), keyRow);
  values.fill(kMmaTile, g.dim, kMmaThreads, valueRow(0), valueRow);
  commitCopies();
  float resultK[kDim / 8][4] = {}, resultV[kDim / 8][4] = {};
  int step = next(0), turn = 0;
  if (step < steps) fetch(step, turn);
  for (; step < steps; turn ^= 1) {
    const int following = next(step + 1), first = tileOf(step).first;
    awaitCopies<0>();
    // After the barrier no warp reads the tiles of the previous turn, so they can be filled again.
    __syncthreads();
    if (following < steps) fetch(following, turn ^ 1);

    float p[kQueries / 8][4] = {}, d[kQueries / 8][4] = {};
    multiplyRows<kQueries>(p, keys, warpRow, queries(turn));
    multiplyRows<kQueries>(d, values, warpRow, gradients(turn));
    const float mask[2] = {masks[turn * kMmaTile + row], masks[turn * kMmaTile + row + 8]};
#pragma unroll
    for (int n = 0; n < kQueries / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int r = row + i / 2 * 8, c = 8 * n + column + i % 2;
        const float2 statistic = statistics[turn * kQueries + c];
        float score = kLog2E * p[n][i];
        if (biased) score += diagonals(turn).of(c, r);
        const bool visible = r < count && !(own && g.causal && item.first + r > first + c);
        const float probability = visible ? exp2f(score - statistic.x) : 0.0f;
        p[n][i] = probability * mask[i / 2];
        d[n][i] = probability * (mask[i / 2] * d[n][i] - statistic.y);
      }
    multiplyWeights<kQueries>(resultV, p, gradients(turn));
    multiplyWeights<kQueries>(resultK, d, queries(turn));
    step = following;
  }
  awaitCopies<0>();

#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int r = row + 8 * half;
    if (r >= count) continue;
    const int64_t at = own ? (int64_t{g.sequences[item.owner].kBegin} + item.first + r) * g.width + unit
                           : ((int64_t{blockIdx.x} * g.heads + head) * kMmaTile + r) * g.dim;
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
      if (8 * n >= g.dim) continue;
      const float k0 = resultK[n][2 * half], k1 = resultK[n][2 * half + 1];
      const float v0 = resultV[n][2 * half], v1 = resultV[n][2 * half + 1];
      const int64_t to = at + 8 * n + column;
      if (own && ownK) storePair(ownK + to, betaK, k0, k1);
      if (own && ownV) storePair(ownV + to, betaV, v0, v1);
      if (!own && partialK) storePair(partialK + to, 0.0f, k0, k1);
      if (!own && partialV) storePair(partialV + to, 0.0f, v0, v1);
    }
  }
}

}  // namespace

template <int kDim>
void mmaKeyGradients(const Plan& plan, const BackwardInputs<bf16>& inputs, const IntList& items, bf16* ownK,
                     float betaK, bf16* ownV, float betaV, float* partialK, float* partialV) {
  if (items.empty()) return;
  constexpr int kQueries = kMmaOther<kDim>;
  constexpr int kBytes =
      MmaTile<kDim>::bytes(2 * kMmaTile + 4 * kQueries) +
      2 * (2 * kQueries + kMmaTile + Diagonals<kQueries, kMmaTile>::kCount + 1) * static_cast<int>(sizeof(float));
  Context& context = Context::current();
  const dim3 grid(static_cast<unsigned>(items.size() / 5), blocksAcross(plan.shape.heads, "heads"));
  const auto* table = reinterpret_cast<const KeyItem*>(context.table(items));
  mmaKeyTile<kDim><<<grid, kMmaThreads, sharedMemory(mmaKeyTile<kDim>, kBytes), context.stream()>>>(
      plan.shape, inputs, table, ownK, betaK, ownV, betaV, partialK, partialV);
  launched();
}

#define HINT_INSTANTIATE(D)                                                                                       \
  template void mmaKeyGradients<D>(const Plan&, const BackwardInputs<bf16>&, const IntList&, bf16*, float, bf16*, \
                                   float, float*, float*);
HINT_INSTANTIATE(64)
HINT_INSTANTIATE(128)
#undef HINT_INSTANTIATE

}  // namespace hint::attention::tiles
