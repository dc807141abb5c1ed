#include "native/ops/common/cuda/norm.cuh"
#include "native/ops/rms_norm/rms_norm.h"

namespace hint {
namespace rms_norm {
namespace {

using namespace cuda;

template <typename X, typename D, typename Y>
void forwardOf(const Call& call) {
  const auto rows = static_cast<unsigned>(call.dim("rows"));
  if (rows == 0) return;
  const NormForward<X, D, Y> of(call, nullptr, nullptr, output<float>(call, kRstd));
  const int threads = normThreads(of.d);
  cudaStream_t stream = Context::current().stream();
  if (of.byEight()) {
    normForward<false, true><<<rows, threads, 0, stream>>>(of);
  } else {
    normForward<false, false><<<rows, threads, 0, stream>>>(of);
  }
  launched();
}

void forwardCuda(Call& call) {
  byNormTypes(call, [&](auto x, auto delta, auto y) { forwardOf<decltype(x), decltype(delta), decltype(y)>(call); });
}
void backwardCuda(Call& call) {
  byNormTypes(call, [&](auto x, auto delta, auto y) {
    runNormBackward<false, decltype(x), decltype(delta), decltype(y)>(call, -1, nullptr, output<float>(call, kRstd));
  });
}

}  // namespace
}  // namespace rms_norm

Kernels cuda_rms_norm() { return {rms_norm::forwardCuda, rms_norm::backwardCuda}; }

}  // namespace hint
