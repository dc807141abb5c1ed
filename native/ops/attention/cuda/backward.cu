#include "native/ops/attention/cuda/mma.cuh"

namespace hint::attention::tiles {
namespace {

/// delta[row, head] = sum over the head of gradientO * o.
template <typename T>
void rowDots(const T* a, const T* b, int64_t rows, int heads, int dim, float* delta) {
  if (dim % 8 == 0 && isAligned(a) && isAligned(b)) {
    each(rows * heads, [=] __device__(int64_t i) {
      float sum = 0;
      for (int d = 0; d < dim; d += 8) {
        const Eight left = loadEight(a + i * dim + d), right = loadEight(b + i * dim + d);
#pragma unroll
        for (int k = 0; k < 8; ++k) sum += left.v[k] * right.v[k];
      }
      delta[i] = sum;
    });
    return;
  }
  each(rows * heads, [=] __device__(int64_t i) {
    float sum = 0;
    for (int d = 0; d < dim; ++d) sum += load(a + i * dim + d) * load(b + i * dim + d);
    delta[i] = sum;
  });
}

/// Gradient of shared queries: the sum over runs of sequences, in their order, in double.
template <typename T>
void sumRuns(const float* perRun, int64_t runs, int64_t count, T* gradient, float beta) {
  each(count, [=] __device__(int64_t i) {
    double sum = 0;
    for (int64_t run = 0; run < runs; ++run) sum += perRun[run * count + i];
    store(gradient + i, beta, static_cast<float>(sum));
  });
}

/// Adds the partial sums of context keys, in double, and writes the rows of `segment`: beta * old + sum.
template <typename G>
void reduceContext(const Plan& plan, int segment, const float* partial, G* gradient, float beta) {
  const Shape g = plan.shape;
  const auto* tiles = reinterpret_cast<const ContextTile*>(Context::current().table(plan.contextTiles));
  const int64_t perTile = int64_t{g.heads} * g.tile * g.dim;
  each(plan.contextTileCount() * perTile, [=] __device__(int64_t i) {
    const ContextTile tile = tiles[i / perTile];
    const int64_t within = i % perTile;
    const int head = static_cast<int>(within / (g.tile * g.dim)), row = static_cast<int>(within / g.dim % g.tile),
              d = static_cast<int>(within % g.dim);
    const int keys = tile.segment == kPrefixSegment ? g.prefix : g.sharedKeys(tile.owner);
    if (tile.segment != segment || tile.first + row >= keys) return;
    double sum = 0;
    for (int64_t item = tile.begin; item < tile.end; ++item) sum += partial[item * perTile + within];
    const int64_t at =
        segment == kPrefixSegment ? tile.owner * g.prefixStride + g.prefixBase : int64_t{g.sharedBegin[tile.owner]};
    store(gradient + (at + tile.first + row) * g.width + int64_t{head} * g.dim + d, beta, static_cast<float>(sum));
  });
}

/// Gradient of the bias table: the sum over query tiles, in double.
template <typename G>
void reduceBias(const float* partial, int64_t tiles, int heads, int buckets, G* gradient, float beta) {
  each(int64_t{buckets} * heads, [=] __device__(int64_t i) {
    const int64_t bucket = i / heads, head = i % heads;
    double sum = 0;
    for (int64_t tile = 0; tile < tiles; ++tile) sum += partial[(tile * heads + head) * buckets + bucket];
    store(gradient + i, beta, static_cast<float>(sum));
  });
}

/// Launches the kernels of a call: on tensor cores when the plan has tiles for them.
template <typename T, int kDim>
void queryGradientsOf(const Call& call, const Plan& plan, const BackwardInputs<T>& inputs, QueryGradient<T> gradient,
                      float* biasSums, int buckets) {
  if constexpr (std::is_same_v<T, bf16>)
    if (plan.shape.tile == kMmaTile) return mmaQueryGradients<kDim>(call, plan, inputs, gradient, biasSums, buckets);
  queryGradients<T, kDim>(plan, inputs, gradient, biasSums, buckets);
}
template <typename T, int kDim>
void keyGradientsOf(const Plan& plan, const BackwardInputs<T>& inputs, const IntList& items, T* ownK, float betaK,
                    T* ownV, float betaV, float* partialK, float* partialV) {
  if constexpr (std::is_same_v<T, bf16>)
    if (plan.shape.tile == kMmaTile)
      return mmaKeyGradients<kDim>(plan, inputs, items, ownK, betaK, ownV, betaV, partialK, partialV);
  keyGradients<T, kDim>(plan, inputs, items, ownK, betaK, ownV, betaV, partialK, partialV);
}

template <typename T, int kDim>
void gradients(Call& call, const Plan& plan) {
  const Geometry& geometry = plan.geometry;
  const Shape& g = plan.shape;
  const int64_t oRows = call.dim("oRows");
  const Scratch<float> delta(oRows * g.heads);
  rowDots(outputGradient<T>(call, kO), output<T>(call, kO), oRows, g.heads, g.dim, delta.get());
  const BackwardInputs<T> inputs{input<T>(call, kQ),
                                 {input<T>(call, kPrefixKey), input<T>(call, kSharedKey), input<T>(call, kK)},
                                 {input<T>(call, kPrefixValue), input<T>(call, kSharedValue), input<T>(call, kV)},
                                 input<T>(call, kBias),
                                 outputGradient<T>(call, kO),
                                 output<float>(call, kLogSumExp),
                                 delta};

  const Tensor &gq = inputGradient(call, kQ), &gb = inputGradient(call, kBias);
  if (gq || gb) {
    const int buckets = gb ? static_cast<int>(call.dim("buckets")) : 0;
    const bool divided = gq && geometry.sharedQueries;
    // Bias gradients and the scalar kernels need the gradient of each sequence by itself.
    const int64_t run =
        divided && !gb && g.tile == kMmaTile ? sequencesPerRun(geometry, Context::current().multiprocessors()) : 1;
    const int64_t runs = (static_cast<int64_t>(geometry.sequences.size()) + run - 1) / run;
    const Scratch<float> perRun(divided ? runs * call.dim("qRows") * g.width : 0);
    const Scratch<float> biasSums(int64_t{plan.queryTiles} * g.heads * buckets);
    queryGradientsOf<T, kDim>(
        call, plan, inputs,
        {divided ? nullptr : dataOf<T>(gq), call.beta(kQ), divided ? perRun.get() : nullptr, static_cast<int>(run)},
        gb ? biasSums.get() : nullptr, buckets);
    if (divided) sumRuns(perRun.get(), runs, call.dim("qRows") * g.width, dataOf<T>(gq), call.beta(kQ));
    if (gb)
      byType(gb.dtype, [&](auto type) {
        reduceBias(biasSums.get(), plan.queryTiles, g.heads, buckets, dataOf<decltype(type)>(gb), call.beta(kBias));
      });
  }

  T *gk = dataOf<T>(inputGradient(call, kK)), *gv = dataOf<T>(inputGradient(call, kV));
  if (gk || gv)
    keyGradientsOf<T, kDim>(plan, inputs, plan.ownItems, gk, call.beta(kK), gv, call.beta(kV), nullptr, nullptr);

  const Tensor &prefixK = inputGradient(call, kPrefixKey), &prefixV = inputGradient(call, kPrefixValue);
  const Tensor &sharedK = inputGradient(call, kSharedKey), &sharedV = inputGradient(call, kSharedValue);
  if (!prefixK && !prefixV && !sharedK && !sharedV) return;
  const int64_t floats = int64_t{plan.contextCount()} * g.heads * g.tile * g.dim;
  const bool wantK = prefixK || sharedK, wantV = prefixV || sharedV;
  const Scratch<float> partialK(wantK ? floats : 0), partialV(wantV ? floats : 0);
  keyGradientsOf<T, kDim>(plan, inputs, plan.contextItems, nullptr, 0, nullptr, 0, wantK ? partialK.get() : nullptr,
                          wantV ? partialV.get() : nullptr);
  const auto reduce = [&](const Tensor& gradient, int segment, const float* partial, float beta) {
    if (!gradient) return;
    byType(gradient.dtype,
           [&](auto type) { reduceContext(plan, segment, partial, dataOf<decltype(type)>(gradient), beta); });
  };
  // This call writes one slot of a prefix; with a beta of 0 the others must be zero.
  zeroGradient(call, kPrefixKey);
  zeroGradient(call, kPrefixValue);
  reduce(prefixK, kPrefixSegment, partialK, 1.0f);
  reduce(prefixV, kPrefixSegment, partialV, 1.0f);
  reduce(sharedK, kSharedSegment, partialK, call.beta(kSharedKey));
  reduce(sharedV, kSharedSegment, partialV, call.beta(kSharedValue));
}

}  // namespace

void backwardCuda(Call& call) {
  if (!call.gradOutputs[kO]) {
    for (size_t i = 0; i < call.gradInputs.size(); ++i) zeroGradient(call, static_cast<int>(i));
    return;
  }
  if (!call.hasOut(kLogSumExp))
    fail("INVALID_ARGUMENT", call.describe(),
         ": the forward pass ran with training 0 and kept no logSumExp; run it with "
         "training 1 to differentiate it.");
  const Plan plan(call, fitsTensorCores(call) ? kMmaTile : kTile);
  byType(call.in(kQ).dtype, [&](auto type) {
    byHeadDim(call, plan.shape.dim, [&](auto dim) { gradients<decltype(type), decltype(dim)::value>(call, plan); });
  });
}

}  // namespace hint::attention::tiles
