#include "native/ops/segment_mean/segment_mean.h"
#include "native/runtime/cuda/device.cuh"

namespace hint {
namespace segment_mean {
namespace {

using namespace cuda;

template <typename T>
void forwardOf(const Call& call) {
  const int64_t d = call.dim("d");
  const int32_t* offsets = Context::current().table(call.list("offsets"));
  const T* x = input<T>(call, kX);
  T* y = output<T>(call, kY);
  each(call.dim("segments") * d, [=] __device__(int64_t i) {
    const int64_t segment = i / d, column = i % d, first = offsets[segment], last = offsets[segment + 1];
    double sum = 0;
    for (int64_t row = first; row < last; ++row) sum += load(x + row * d + column);
    put(y + i, static_cast<float>(sum / static_cast<double>(last - first)));
  });
}

template <typename T>
void backwardOf(const Call& call) {
  const T* gy = outputGradient<T>(call, kY);
  if (!gy) zeroGradient(call, kX);
  T* gx = gy ? dataOf<T>(inputGradient(call, kX)) : nullptr;
  if (!gx) return;
  const int64_t d = call.dim("d");
  const int segments = static_cast<int>(call.dim("segments"));
  const int32_t* offsets = Context::current().table(call.list("offsets"));
  const float beta = call.beta(kX);
  each(call.dim("rows") * d, [=] __device__(int64_t i) {
    const int segment = groupOf(offsets, segments, i / d);
    const float share = 1.0f / static_cast<float>(offsets[segment + 1] - offsets[segment]);
    store(gx + i, beta, share * load(gy + segment * d + i % d));
  });
}

void forwardCuda(Call& call) {
  byType(call.in(kX).dtype, [&](auto type) { forwardOf<decltype(type)>(call); });
}
void backwardCuda(Call& call) {
  byType(call.in(kX).dtype, [&](auto type) { backwardOf<decltype(type)>(call); });
}

}  // namespace
}  // namespace segment_mean

Kernels cuda_segment_mean() { return {segment_mean::forwardCuda, segment_mean::backwardCuda}; }

}  // namespace hint
