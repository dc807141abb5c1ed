#include "native/ops/common/cuda/decoding_state.cuh"
#include "native/ops/sample/sample.h"

namespace hint {
namespace sample {
namespace {

using namespace cuda;

struct Choosing {
  double temperature, topP;
  int64_t topK;
  uint64_t seed;
};

template <typename T>
__device__ int32_t draw(const WeightedRow<T>& row, const Choosing& how, double uniform) {
  const bool narrow = how.topK > 0 && how.topK < row.vocab;
  if (!narrow && how.topP >= 1) {
    const double target = uniform * row.from(0).mass;
    return row.walk([&](int64_t id) { return row.weight(load(row.logits + id)); }, target);
  }
  TopSet set = row.most(narrow ? how.topK : row.vocab);
  if (how.topP < 1) {
    const double goal = how.topP * set.mass;
    set = row.fewest(set, [=](double mass) { return mass >= goal; });
  }
  const double target = uniform * set.mass;
  return row.last(row.fewest(set, [=](double mass) { return mass > target; }));
}

/// One row per block: the token drawn and its log-probability, kNoToken for a row without probabilities, 0 for finished
/// rows.
template <typename T>
__global__ void __launch_bounds__(kChooseThreads)
    drawRows(const T* allLogits, int64_t vocab, const int32_t* finished, const int32_t* stream, const int32_t* position,
             Choosing how, int32_t* chosen, float* logProbs) {
  const int64_t row = blockIdx.x;
  if (finished[row]) {
    if (threadIdx.x == 0) {
      chosen[row] = 0;
      logProbs[row] = 0;
    }
    return;
  }
  const T* logits = allLogits + row * vocab;
  bool nan = false;
  const Candidate best = firstAfter(logits, vocab, beforeAll(), nan);
  if (nan || !isfinite(best.value)) {
    if (threadIdx.x == 0) chosen[row] = kNoToken;
    return;
  }
  int32_t id = best.id;
  if (how.temperature > 0) {
    // The inverse temperature, rounded as on the CPU.
    const auto inverse = static_cast<float>(1 / max(how.temperature, 1e-30));
    id = draw(WeightedRow<T>{logits, vocab, best.value, inverse}, how, uniform(how.seed, stream + 2 * row, *position));
  }
  const double sum = sumOfWeights(logits, vocab, best.value, 1.0);
  if (threadIdx.x > 0) return;
  chosen[row] = id;
  logProbs[row] = (load(logits + id) - best.value) - static_cast<float>(log(sum));
}

void forwardCuda(Call& call) {
  const int64_t rows = call.dim("rows"), vocab = call.dim("vocab");
  const Choosing how{call.number("temperature"), call.number("topP"), call.integer("topK"),
                     static_cast<uint64_t>(call.number("seed"))};
  const Scratch<int32_t> chosen(rows);
  const Scratch<float> logProbs(rows);
  if (rows > 0)
    byType(call.in(kLogits).dtype, [&](auto type) {
      drawRows<<<static_cast<unsigned>(rows), kChooseThreads, 0, Context::current().stream()>>>(
          input<decltype(type)>(call, kLogits), vocab, input<int32_t>(call, kFinished), input<int32_t>(call, kStream),
          input<int32_t>(call, kPosition), how, chosen.get(), logProbs.get());
      launched();
    });
  const DecodingState state(call, kToken, kFinished, kTokens, kPosition, kStop);
  advance(call, state, chosen, logProbs, dataOf<float>(call.in(kLogProbs)), "contain NaN or give no probabilities");
}

}  // namespace
}  // namespace sample

Kernels cuda_sample() { return {sample::forwardCuda, nullptr}; }

}  // namespace hint
