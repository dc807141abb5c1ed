#include "native/ops/add/add.h"
#include "native/runtime/cuda/device.cuh"

namespace hint {
namespace add {
namespace {

using namespace cuda;

template <typename T>
void forwardOf(const Call& call) {
  const T *a = input<T>(call, kA), *b = input<T>(call, kB);
  T* y = output<T>(call, kY);
  each(call.dim("n"), [=] __device__(int64_t i) { put(y + i, load(a + i) + load(b + i)); });
}

template <typename T>
void backwardOf(const Call& call) {
  const T* gy = outputGradient<T>(call, kY);
  for (int side : {kA, kB}) {
    if (!gy) zeroGradient(call, side);
    T* gradient = gy ? dataOf<T>(inputGradient(call, side)) : nullptr;
    if (!gradient) continue;
    const float beta = call.beta(side);
    each(call.dim("n"), [=] __device__(int64_t i) { store(gradient + i, beta, load(gy + i)); });
  }
}

void forwardCuda(Call& call) {
  byType(call.in(kA).dtype, [&](auto type) { forwardOf<decltype(type)>(call); });
}
void backwardCuda(Call& call) {
  byType(call.in(kA).dtype, [&](auto type) { backwardOf<decltype(type)>(call); });
}

}  // namespace
}  // namespace add

Kernels cuda_add() { return {add::forwardCuda, add::backwardCuda}; }

}  // namespace hint
