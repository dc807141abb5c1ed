#include "native/ops/fill/fill.h"
#include "native/runtime/cuda/device.cuh"

namespace hint {
namespace fill {
namespace {

using namespace cuda;

template <typename T>
void fillWith(T* destination, float value, int64_t count) {
  each(count, [=] __device__(int64_t i) { put(destination + i, value); });
}

void forwardCuda(Call& call) {
  const auto value = static_cast<float>(call.number("value"));
  byType(call.in(kDestination).dtype,
         [&](auto type) { fillWith(dataOf<decltype(type)>(call.in(kDestination)), value, call.dim("n")); });
}

}  // namespace
}  // namespace fill

Kernels cuda_fill() { return {fill::forwardCuda, nullptr}; }

}  // namespace hint
