#include <cstring>

#include "native/ops/common/elementwise.h"
#include "native/ops/copy/copy.h"
#include "native/runtime/cpu/widened_call.h"
#include "native/runtime/parallel.h"

namespace hint::copy {
namespace {

void backwardOfFloats(Call& call) {
  const float* gy = call.go(kY);
  if (!gy) call.giZeroed(kX);
  float* gx = gy ? call.gi(kX) : nullptr;
  if (!gx) return;
  const float beta = call.beta(kX);
  parallelFor(call.dim("n"), kElementGrain,
              [&](int64_t begin, int64_t end) { store(gx + begin, beta, 1.0f, gy + begin, end - begin); });
}

}  // namespace

void forward(Call& call) {
  if (call.dim("n") == 0) return;
  const Tensor &from = call.in(kX), &to = call.out(kY);
  const auto size = static_cast<int64_t>(sizeOf(from.dtype));
  const auto* x = static_cast<const char*>(from.buffer->data()) + from.offset * size;
  auto* y = static_cast<char*>(to.buffer->data()) + to.offset * size;
  parallelFor(call.dim("n"), kElementGrain, [&](int64_t begin, int64_t end) {
    std::memcpy(y + begin * size, x + begin * size, static_cast<size_t>((end - begin) * size));
  });
}

void backward(Call& call) {
  if (hasBf16(call))
    runWidened(call, backwardOfFloats);
  else
    backwardOfFloats(call);
}

}  // namespace hint::copy
