#include "native/ops/common/cuda/decoding_state.cuh"
#include "native/ops/greedy/greedy.h"

namespace hint {
namespace greedy {
namespace {

using namespace cuda;

/// One row per block: index of the first largest logit, kNoToken when one is NaN, 0 for finished rows.
template <typename T>
__global__ void __launch_bounds__(kChooseThreads)
    argmaxRows(const T* logits, int64_t vocab, const int32_t* finished, int32_t* chosen) {
  const int64_t row = blockIdx.x;
  if (finished[row]) {
    if (threadIdx.x == 0) chosen[row] = 0;
    return;
  }
  bool nan = false;
  const Candidate best = firstAfter(logits + row * vocab, vocab, beforeAll(), nan);
  if (threadIdx.x == 0) chosen[row] = nan ? kNoToken : best.id;
}

void forwardCuda(Call& call) {
  const int64_t rows = call.dim("rows"), vocab = call.dim("vocab");
  const Scratch<int32_t> chosen(rows);
  if (rows > 0)
    byType(call.in(kLogits).dtype, [&](auto type) {
      argmaxRows<<<static_cast<unsigned>(rows), kChooseThreads, 0, Context::current().stream()>>>(
          input<decltype(type)>(call, kLogits), vocab, input<int32_t>(call, kFinished), chosen.get());
      launched();
    });
  const DecodingState state(call, kToken, kFinished, kTokens, kPosition, kStop);
  advance(call, state, chosen, nullptr, nullptr, "contain NaN");
}

}  // namespace
}  // namespace greedy

Kernels cuda_greedy() { return {greedy::forwardCuda, nullptr}; }

}  // namespace hint
