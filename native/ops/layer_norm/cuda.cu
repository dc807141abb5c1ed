#include "native/ops/common/cuda/norm.cuh"
#include "native/ops/layer_norm/layer_norm.h"

namespace hint {
namespace layer_norm {
namespace {

using namespace cuda;

template <typename X, typename D, typename Y>
void forwardOf(const Call& call) {
  const auto rows = static_cast<unsigned>(call.dim("rows"));
  if (rows == 0) return;
  const NormForward<X, D, Y> of(call, input<float>(call, kBias), output<float>(call, kMean),
                                output<float>(call, kRstd));
  const int threads = normThreads(of.d);
  cudaStream_t stream = Context::current().stream();
  if (of.byEight()) {
    normForward<true, true><<<rows, threads, 0, stream>>>(of);
  } else {
    normForward<true, false><<<rows, threads, 0, stream>>>(of);
  }
  launched();
}

void forwardCuda(Call& call) {
  byNormTypes(call, [&](auto x, auto delta, auto y) { forwardOf<decltype(x), decltype(delta), decltype(y)>(call); });
}
void backwardCuda(Call& call) {
  byNormTypes(call, [&](auto x, auto delta, auto y) {
    runNormBackward<true, decltype(x), decltype(delta), decltype(y)>(call, kBias, output<float>(call, kMean),
                                                                     output<float>(call, kRstd));
  });
}

}  // namespace
}  // namespace layer_norm

Kernels cuda_layer_norm() { return {layer_norm::forwardCuda, layer_norm::backwardCuda}; }

}  // namespace hint
