#include "native/ops/increment/increment.h"
#include "native/runtime/cuda/device.cuh"

namespace hint {
namespace increment {
namespace {

using namespace cuda;

void forwardCuda(Call& call) {
  const int64_t by = call.integer("by"), limit = call.integer("limit");
  auto* x = dataOf<int32_t>(call.in(kX));
  // The sum is computed in 64 bits, so that it does not overflow; the minimum with `limit` fits 32 bits.
  each(call.dim("n"), [=] __device__(int64_t i) {
    const int64_t sum = x[i] + by, least = INT32_MIN;
    x[i] = static_cast<int32_t>(sum < least ? least : sum > limit ? limit : sum);
  });
}

}  // namespace
}  // namespace increment

Kernels cuda_increment() { return {increment::forwardCuda, nullptr}; }

}  // namespace hint
