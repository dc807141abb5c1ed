#include "native/ops/add/add.h"
#include "native/runtime/cuda/elements.cuh"

namespace hint {
namespace add {
namespace {

using namespace cuda;

template <typename A, typename B, typename Y>
void forwardOf(const Call& call) {
  eachElement(
      call.dim("n"), result(output<Y>(call, kY)),
      [] __device__(float* value, int64_t, float, float a, float b) { value[0] = a + b; }, input<A>(call, kA),
      input<B>(call, kB));
}

void forwardCuda(Call& call) {
  byType(call.in(kA).dtype, [&](auto a) {
    byType(call.in(kB).dtype, [&](auto b) {
      byType(call.out(kY).dtype, [&](auto y) { forwardOf<decltype(a), decltype(b), decltype(y)>(call); });
    });
  });
}
void backwardCuda(Call& call) {
  const Tensor& gy = call.gradOutputs[kY];
  for (int side : {kA, kB}) {
    const Tensor& gradient = inputGradient(call, side);
    if (!gy) zeroGradient(call, side);
    if (!gy || !gradient) continue;
    byType(gy.dtype, [&](auto from) {
      byType(gradient.dtype, [&](auto to) {
        storeElements(call.dim("n"), dataOf<const decltype(from)>(gy), dataOf<decltype(to)>(gradient), call.beta(side));
      });
    });
  }
}

}  // namespace
}  // namespace add

Kernels cuda_add() { return {add::forwardCuda, add::backwardCuda}; }

}  // namespace hint
