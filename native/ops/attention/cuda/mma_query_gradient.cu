#include <algorithm>

#include "native/ops/attention/cuda/mma.cuh"

namespace hint::attention::tiles {
namespace {

/// Bias gradients of one warp's 16 rows against tiles of kKeys keys. A diagonal has one relative position, and a bucket
/// is an interval of those: elements are summed along diagonals, then diagonals over each bucket, always in one order.
template <int kKeys>
struct BiasSums {
  static constexpr int kStride = kKeys + 8, kCount = kKeys + 15;
  static constexpr int kFloats = 16 * kStride + kCount + 1;
  float* memory;  ///< the rows, then their diagonals
  float* bins;    ///< by bucket

  /// Keys before `own` have no bias; `relative` is that of the first key to the first row.
  __device__ void add(const float (&d)[kKeys / 8][4], int own, int relative, const int2* ranges, int buckets) const {
    const int lane = threadIdx.x % 32;
    float* diagonals = memory + 16 * kStride;
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        storePair(memory + (fragmentRow() + 8 * half) * kStride + 8 * n + fragmentColumn(), 0.0f, d[n][2 * half],
                  d[n][2 * half + 1]);
    __syncwarp();
    for (int e = lane; e < kCount; e += 32) {
      float sum = 0;
#pragma unroll
      for (int r = 0; r < 16; ++r) {
        const int c = e - 15 + r;
        if (c >= 0 && c >= own && c < kKeys) sum += memory[r * kStride + c];
      }
      diagonals[e] = sum;
    }
    __syncwarp();
    for (int b = lane; b < buckets; b += 32) {
      const int nearest = relative - 15, low = max(ranges[b].x - nearest, 0),
                high = min(ranges[b].y - nearest, kCount - 1);
      float sum = 0;
      for (int e = low; e <= high; ++e) sum += diagonals[e];
      bins[b] += sum;
    }
  }
};

/// One tile of queries of one head per block, over all keys of `run` sequences in turn, which share the queries where
/// there are several. Probabilities are computed again from logSumExp.
template <int kDim>
__global__ void __launch_bounds__(kMmaThreads)
    mmaQueryTile(Shape g, BackwardInputs<bf16> in, QueryGradient<bf16> gradient, int run, int sequences,
                 float* biasSums, int buckets, const int2* ranges) {
  extern __shared__ __align__(128) float shared[];
  constexpr int kKeys = kMmaOther<kDim>, kElements = kKeys * MmaTile<kDim>::kStride;
  using Bias = Diagonals<kMmaTile, kKeys>;
  const MmaTile<kDim> queries{reinterpret_cast<bf16*>(shared)}, gradients{queries.row(kMmaTile)};
  bf16* others = gradients.row(kMmaTile);
  float *masks = reinterpret_cast<float*>(others + 4 * kElements), *biases = masks + 2 * kKeys,
        *sums = biases + 2 * (Bias::kCount + 1), *bins = sums + kMmaThreads / 32 * BiasSums<kKeys>::kFloats;
  const auto keys = [&](int turn) { return MmaTile<kDim>{others + turn * kElements}; };
  const auto values = [&](int turn) { return MmaTile<kDim>{others + (2 + turn) * kElements}; };
  const auto diagonals = [&](int turn) { return Bias{biases + turn * (Bias::kCount + 1)}; };

  const QueryTile tile = g.queryTiles[blockIdx.x];
  const int qBegin = g.sequences[tile.sequence].qBegin, rows = g.sequences[tile.sequence].queries;
  const int head = blockIdx.y, first = tile.first, count = min(kMmaTile, rows - first);
  const int64_t unit = int64_t{head} * g.dim;
  const int warp = threadIdx.x / 32, warpRow = warp * 16, row = warpRow + fragmentRow(), column = fragmentColumn();
  const BiasSums<kKeys> warpSums{sums + warp * BiasSums<kKeys>::kFloats, bins + warp * buckets};

  queries.fill(kMmaTile, g.dim, kMmaThreads, in.q,
               [&](int r) { return r < count ? in.q + (qBegin + first + r) * g.width + unit : nullptr; });
  for (int b = threadIdx.x; b < kMmaThreads / 32 * buckets; b += kMmaThreads) bins[b] = 0.0f;
  float logSumExp[2], delta[2], result[kDim / 8][4] = {}, behind = 0, ahead = 0;
  for (int sequence = tile.sequence; sequence < min(tile.sequence + run, sequences); ++sequence) {
    const DeviceSequence s = g.sequences[sequence];
    const int context = g.contextKeys(s.task), total = context + s.keys;
    const int end = g.causal ? min(total, context + first + count) : total;
    const auto fetch = [&](int base) {
      const int turn = base / kKeys % 2;
      keys(turn).fill(kKeys, g.dim, kMmaThreads, in.q,
                      [&](int r) { return base + r < total ? in.k.key(g, sequence, s, base + r) + unit : nullptr; });
      values(turn).fill(kKeys, g.dim, kMmaThreads, in.q,
                        [&](int r) { return base + r < total ? in.v.key(g, sequence, s, base + r) + unit : nullptr; });
      commitCopies();
      if (g.mask.active && threadIdx.x < kKeys / 4)
        g.mask.quad(static_cast<uint32_t>(sequence * g.heads + head), static_cast<uint32_t>(base + 4 * threadIdx.x),
                    masks + turn * kKeys + 4 * threadIdx.x);
      if (in.bias && base + kKeys > context) diagonals(turn).fill(g, in.bias, head, base - context - first);
    };
    // After the barrier no warp reads the tiles of the previous sequence.
    if (sequence > tile.sequence) __syncthreads();
    gradients.fill(kMmaTile, g.dim, kMmaThreads, in.q,
                   [&](int r) { return r < count ? in.gradientO + (s.oBegin + first + r) * g.width + unit : nullptr; });
    fetch(0);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int r = row + 8 * half;
      const int64_t at = (int64_t{s.oBegin} + first + r) * g.heads + head;
      // Rows beyond the last query get an infinite log-sum-exp, which makes their probabilities zero.
      logSumExp[half] = r < count ? kLog2E * in.logSumExp[at] : INFINITY;
      delta[half] = r < count ? in.delta[at] : 0.0f;
    }
    for (int base = 0; base < end; base += kKeys) {
      const int turn = base / kKeys % 2;
      awaitCopies<0>();
      // After the barrier no warp reads the tiles of the previous turn, so they can be filled again.
      __syncthreads();
      if (base + kKeys < end) fetch(base + kKeys);

      float p[kKeys / 8][4] = {}, d[kKeys / 8][4] = {};
      multiplyRows<kKeys>(p, queries, warpRow, keys(turn));
      multiplyRows<kKeys>(d, gradients, warpRow, values(turn));
      const bool biased = in.bias && base + kKeys > context;
      const bool whole = base + kKeys <= total && !(g.causal && base + kKeys - 1 - context > first);
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int r = row + i / 2 * 8, c = 8 * n + column + i % 2, own = base + c - context;
          float score = kLog2E * p[n][i];
          if (biased && own >= 0) score += diagonals(turn).of(r, c);
          if (!whole && (base + c >= total || (g.causal && own > first + r))) score = -INFINITY;
          const float mask = g.mask.active ? masks[turn * kKeys + 8 * n + column + i % 2] : 1.0f;
          d[n][i] = exp2f(score - logSumExp[i / 2]) * (mask * d[n][i] - delta[i / 2]);
        }
      multiplyWeights<kKeys>(result, d, keys(turn));
      if (!biasSums || base + kKeys <= context) continue;
      // Beyond the last distance with a bucket of its own, most of a long sequence, a warp's rows fall into one bucket.
      const int relative = base - context - first - warpRow;
      const bool allAhead = relative - 15 >= g.buckets.last, allBehind = relative + kKeys - 1 <= -g.buckets.last;
      if (base >= context && (allAhead || allBehind)) {
        float sum = 0;
#pragma unroll
        for (int n = 0; n < kKeys / 8; ++n) sum += d[n][0] + d[n][1] + d[n][2] + d[n][3];
        (allAhead ? ahead : behind) += sum;
      } else {
        warpSums.add(d, context - base, relative, ranges, buckets);
      }
    }
  }
  if (biasSums) {
    ahead = warpSum(ahead);
    behind = warpSum(behind);
    __syncwarp();
    if (threadIdx.x % 32 == 0) {
      warpSums.bins[g.buckets.of(g.buckets.last)] += ahead;
      warpSums.bins[g.buckets.of(-g.buckets.last)] += behind;
    }
    __syncthreads();
    for (int b = threadIdx.x; b < buckets; b += kMmaThreads) {
      float sum = 0;
      for (int w = 0; w < kMmaThreads / 32; ++w) sum += bins[w * buckets + b];
      biasSums[(int64_t{blockIdx.x} * g.heads + head) * buckets + b] = sum;
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int r = row + 8 * half;
    if (r >= count) continue;
    const int64_t atRun = (int64_t{tile.sequence / run} * rows + first + r) * g.width + unit;
    const int64_t atQ = (int64_t{qBegin} + first + r) * g.width + unit;
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
      if (8 * n >= g.dim) continue;
      const float low = result[n][2 * half], high = result[n][2 * half + 1];
      if (gradient.perRun)
        storePair(gradient.perRun + atRun + 8 * n + column, 0.0f, low, high);
      else if (gradient.direct)
        storePair(gradient.direct + atQ + 8 * n + column, gradient.beta, low, high);
    }
  }
}

/// The first and the last relative position of each bucket; positions beyond the last distance belong to the outermost
/// buckets.
IntList bucketRanges(const Call& call) {
  const int64_t buckets = call.dim("buckets"), last = call.integer("maxDistance");
  const RelativeBuckets& table = relativeBuckets(buckets, last, call.integer("causal") != 0);
  constexpr int32_t kFar = 1 << 29;
  IntList ranges;
  for (int64_t b = 0; b < buckets; ++b) ranges.insert(ranges.end(), {kFar, -kFar});
  for (int64_t relative = -last; relative <= last; ++relative) {
    int32_t* range = &ranges[2 * static_cast<size_t>(table.of(relative))];
    const auto position = static_cast<int32_t>(relative == -last ? -kFar : relative == last ? kFar : relative);
    range[0] = std::min(range[0], position);
    range[1] = std::max(range[1], position);
  }
  return ranges;
}

}  // namespace

template <int kDim>
void mmaQueryGradients(const Call& call, const Plan& plan, const BackwardInputs<bf16>& inputs,
                       QueryGradient<bf16> gradient, float* biasSums, int buckets) {
  if (plan.queryTiles == 0) return;
  constexpr int kKeys = kMmaOther<kDim>, kWarps = kMmaThreads / 32;
  int floats = 2 * (kKeys + Diagonals<kMmaTile, kKeys>::kCount + 1);
  if (biasSums) floats += kWarps * (BiasSums<kKeys>::kFloats + buckets);
  const int64_t bytes = MmaTile<kDim>::bytes(2 * kMmaTile + 4 * kKeys) + floats * static_cast<int>(sizeof(float));
  Context& context = Context::current();
  Shape shape = plan.shape;
  int tiles = plan.queryTiles;
  const auto sequences = static_cast<int>(plan.geometry.sequences.size());
  if (gradient.run > 1) {
    IntList ofRuns;
    for (int begin = 0; begin < sequences; begin += gradient.run)
      for (int first = 0; first < call.dim("qRows"); first += kMmaTile) ofRuns.insert(ofRuns.end(), {begin, first});
    shape.queryTiles = reinterpret_cast<const QueryTile*>(context.table(ofRuns));
    tiles = static_cast<int>(ofRuns.size() / 2);
  }
  const int2* ranges = biasSums ? reinterpret_cast<const int2*>(context.table(bucketRanges(call))) : nullptr;
  const dim3 grid(static_cast<unsigned>(tiles), blocksAcross(shape.heads, "heads"));
  mmaQueryTile<kDim><<<grid, kMmaThreads, sharedMemory(mmaQueryTile<kDim>, bytes, kFewerBuckets), context.stream()>>>(
      shape, inputs, gradient, gradient.run, sequences, biasSums, buckets, ranges);
  launched();
}

#define HINT_INSTANTIATE(D)                                                                                      \
  template void mmaQueryGradients<D>(const Call&, const Plan&, const BackwardInputs<bf16>&, QueryGradient<bf16>, \
                                     float*, int);
HINT_INSTANTIATE(64)
HINT_INSTANTIATE(128)
#undef HINT_INSTANTIATE

}  // namespace hint::attention::tiles
