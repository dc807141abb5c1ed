#include "native/ops/cast/cast.h"
#include "native/runtime/cuda/elements.cuh"

namespace hint {
namespace cast {
namespace {

using namespace cuda;

/// Rounds to the nearest bf16, ties to even, as the CPU does; NaN stays NaN.
void forwardCuda(Call& call) {
  byType(call.in(kX).dtype, [&](auto from) {
    byType(call.out(kY).dtype, [&](auto to) {
      storeElements(call.dim("n"), input<decltype(from)>(call, kX), output<decltype(to)>(call, kY));
    });
  });
}

}  // namespace
}  // namespace cast

Kernels cuda_cast() { return {cast::forwardCuda, nullptr}; }

}  // namespace hint
