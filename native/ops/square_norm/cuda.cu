#include "native/ops/common/cuda/reduce.cuh"
#include "native/ops/square_norm/square_norm.h"

namespace hint {
namespace square_norm {
namespace {

using namespace cuda;

template <typename T>
void addSquares(const T* x, int64_t count, float* total) {
  sumAll(
      count,
      [=] __device__(int64_t i) {
        const double value = load(x + i);
        return value * value;
      },
      [=] __device__(double sum) { *total = static_cast<float>(static_cast<double>(*total) + sum); });
}

void forwardCuda(Call& call) {
  float* total = dataOf<float>(call.in(kTotal));
  byType(call.in(kX).dtype, [&](auto type) { addSquares(input<decltype(type)>(call, kX), call.dim("n"), total); });
}

}  // namespace
}  // namespace square_norm

Kernels cuda_square_norm() { return {square_norm::forwardCuda, nullptr}; }

}  // namespace hint
