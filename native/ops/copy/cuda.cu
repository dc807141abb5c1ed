#include "native/ops/copy/copy.h"
#include "native/runtime/cuda/elements.cuh"

namespace hint {
namespace copy {
namespace {

using namespace cuda;

template <typename T>
void backwardOf(const Call& call) {
  const T* gy = outputGradient<T>(call, kY);
  if (!gy) zeroGradient(call, kX);
  T* gx = gy ? dataOf<T>(inputGradient(call, kX)) : nullptr;
  if (gx) storeElements(call.dim("n"), gy, gx, call.beta(kX));
}

void forwardCuda(Call& call) {
  const Tensor &from = call.in(kX), &to = call.out(kY);
  if (from.bytes() == 0) return;
  check(cudaMemcpyAsync(addressOf(to), addressOf(from), from.bytes(), cudaMemcpyDeviceToDevice,
                        Context::current().stream()),
        "copy a tensor");
}
void backwardCuda(Call& call) {
  byType(call.in(kX).dtype, [&](auto type) { backwardOf<decltype(type)>(call); });
}

}  // namespace
}  // namespace copy

Kernels cuda_copy() { return {copy::forwardCuda, copy::backwardCuda}; }

}  // namespace hint
