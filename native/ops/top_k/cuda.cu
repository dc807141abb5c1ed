#include <string>

#include "native/ops/common/cuda/choose.cuh"
#include "native/ops/top_k/top_k.h"

namespace hint {
namespace top_k {
namespace {

using namespace cuda;

/// One row per block, and one pass over the row for each of the k tokens: beam search uses a k below a few dozen.
template <typename T>
__global__ void __launch_bounds__(kChooseThreads)
    largestOfRows(const T* allLogits, int64_t vocab, int64_t k, float* logProbs, int32_t* ids, FaultWord* fault) {
  const int64_t row = blockIdx.x;
  const T* logits = allLogits + row * vocab;
  bool nan = false;
  Candidate candidate = firstAfter(logits, vocab, beforeAll(), nan);
  const float maximum = candidate.value;
  if (nan || !isfinite(maximum)) {
    if (threadIdx.x == 0) reportFault(fault, static_cast<uint32_t>(row), 0);
    return;
  }
  const auto logSum = static_cast<float>(log(sumOfWeights(logits, vocab, maximum, 1.0)));
  for (int64_t i = 0; i < k; ++i) {
    if (i > 0) candidate = firstAfter(logits, vocab, candidate, nan);
    if (threadIdx.x > 0) continue;
    ids[row * k + i] = candidate.id;
    logProbs[row * k + i] = (candidate.value - maximum) - logSum;
  }
}

void forwardCuda(Call& call) {
  const int64_t rows = call.dim("rows"), vocab = call.dim("vocab"), k = call.integer("k");
  if (rows == 0) return;
  Context& context = Context::current();
  FaultWord* fault = context.faultWord([text = call.describe()](int64_t row, int32_t) {
    return Error("NUMERIC", text + ": the logits of row " + std::to_string(row) +
                                " contain NaN or give no probabilities; check the weights and the input.");
  });
  byType(call.in(kLogits).dtype, [&](auto type) {
    largestOfRows<<<static_cast<unsigned>(rows), kChooseThreads, 0, context.stream()>>>(
        input<decltype(type)>(call, kLogits), vocab, k, output<float>(call, kLogProbs), output<int32_t>(call, kIds),
        fault);
    launched();
  });
}

}  // namespace
}  // namespace top_k

Kernels cuda_top_k() { return {top_k::forwardCuda, nullptr}; }

}  // namespace hint
