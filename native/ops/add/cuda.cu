#include "native/ops/add/add.h"
#include "native/runtime/cuda/device.cuh"

namespace hint {
namespace add {
namespace {

using namespace cuda;

template <typename A, typename B, typename Y>
void forwardOf(const Call& call) {
  const A* a = input<A>(call, kA);
  const B* b = input<B>(call, kB);
  Y* y = output<Y>(call, kY);
  each(call.dim("n"), [=] __device__(int64_t i) { put(y + i, load(a + i) + load(b + i)); });
}

template <typename Y, typename G>
void storeAll(const Y* gy, G* gradient, float beta, int64_t count) {
  each(count, [=] __device__(int64_t i) { store(gradient + i, beta, load(gy + i)); });
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
        storeAll(dataOf<const decltype(from)>(gy), dataOf<decltype(to)>(gradient), call.beta(side), call.dim("n"));
      });
    });
  }
}

}  // namespace
}  // namespace add

Kernels cuda_add() { return {add::forwardCuda, add::backwardCuda}; }

}  // namespace hint
