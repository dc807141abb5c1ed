#include "native/ops/concat_rows/concat_rows.h"
#include "native/runtime/cuda/device.cuh"

namespace hint {
namespace concat_rows {
namespace {

using namespace cuda;

template <typename T>
void storeAll(T* destination, float beta, const T* value, int64_t count) {
  each(count, [=] __device__(int64_t i) { store(destination + i, beta, load(value + i)); });
}

template <typename T>
void forwardOf(const Call& call) {
  const int64_t d = call.dim("d"), countA = call.dim("rowsA") * d, countB = call.dim("rowsB") * d;
  T* y = output<T>(call, kY);
  storeAll(y, 0.0f, input<T>(call, kA), countA);
  storeAll(y + countA, 0.0f, input<T>(call, kB), countB);
}

template <typename T>
void backwardOf(const Call& call) {
  const int64_t d = call.dim("d"), countA = call.dim("rowsA") * d, countB = call.dim("rowsB") * d;
  const T* gy = outputGradient<T>(call, kY);
  if (!gy) {
    zeroGradient(call, kA);
    zeroGradient(call, kB);
    return;
  }
  if (T* ga = dataOf<T>(inputGradient(call, kA))) storeAll(ga, call.beta(kA), gy, countA);
  if (T* gb = dataOf<T>(inputGradient(call, kB))) storeAll(gb, call.beta(kB), gy + countA, countB);
}

void forwardCuda(Call& call) {
  byType(call.in(kA).dtype, [&](auto type) { forwardOf<decltype(type)>(call); });
}
void backwardCuda(Call& call) {
  byType(call.in(kA).dtype, [&](auto type) { backwardOf<decltype(type)>(call); });
}

}  // namespace
}  // namespace concat_rows

Kernels cuda_concat_rows() { return {concat_rows::forwardCuda, concat_rows::backwardCuda}; }

}  // namespace hint
