#include "native/ops/common/cuda/reduce.cuh"
#include "native/ops/sum/sum.h"

namespace hint {
namespace sum {
namespace {

using namespace cuda;

template <typename T>
void forwardOf(const Call& call) {
  const T* x = input<T>(call, kX);
  float* y = output<float>(call, kY);
  const double factor = call.number("factor");
  sumAll(
      call.dim("n"), [=] __device__(int64_t i) { return static_cast<double>(load(x + i)); },
      [=] __device__(double total) { *y = static_cast<float>(factor * total); });
}

template <typename T>
void backwardOf(const Call& call) {
  T* gx = dataOf<T>(inputGradient(call, kX));
  if (!gx) return;
  const float* gy = outputGradient<float>(call, kY);
  if (!gy) {
    zeroGradient(call, kX);
    return;
  }
  const double factor = call.number("factor");
  const float beta = call.beta(kX);
  each(call.dim("n"), [=] __device__(int64_t i) { store(gx + i, beta, static_cast<float>(factor * *gy)); });
}

void forwardCuda(Call& call) {
  byType(call.in(kX).dtype, [&](auto type) { forwardOf<decltype(type)>(call); });
}
void backwardCuda(Call& call) {
  byType(call.in(kX).dtype, [&](auto type) { backwardOf<decltype(type)>(call); });
}

}  // namespace
}  // namespace sum

Kernels cuda_sum() { return {sum::forwardCuda, sum::backwardCuda}; }

}  // namespace hint
