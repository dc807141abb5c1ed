#include "native/runtime/cpu/widened_call.h"

#include "native/math/bf16.h"
#include "native/runtime/allocator.h"
#include "native/runtime/cpu/simulated_rounding.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

namespace hint {
namespace {

bool isBf16(const Tensor& tensor) { return tensor && tensor.dtype == DType::bf16; }

void widen(const Tensor& from, const Tensor& to) {
  if (from.size() == 0) return;
  const auto* x = from.data<uint16_t>();
  auto* y = to.data<float>();
  parallelFor(from.size(), kElementGrain,
              [&](int64_t begin, int64_t end) { fromBf16(x + begin, y + begin, end - begin); });
}

void narrow(const Tensor& from, const Tensor& to) {
  if (from.size() == 0) return;
  storeAsBf16(from.data<float>(), to.data<uint16_t>(), from.size());
}

/// An f32 tensor of the same shape, with new memory.
Tensor wideLike(const Tensor& tensor) {
  Tensor wide{nullptr, 0, DType::f32, tensor.shape};
  wide.buffer = std::make_shared<Buffer>(scratchAllocator(), wide.bytes());
  wide.buffer->ensure();
  return wide;
}

}  // namespace

bool hasBf16(const Call& call) {
  for (const auto* tensors : {&call.inputs, &call.outputs, &call.gradOutputs, &call.gradInputs})
    for (const Tensor& tensor : *tensors)
      if (isBf16(tensor)) return true;
  return false;
}

void runWidened(Call& call, void (*kernel)(Call&)) {
  Call wide = call;
  const auto replace = [](std::vector<Tensor>& tensors, const auto& isRead) {
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (!isBf16(tensors[i])) continue;
      Tensor copy = wideLike(tensors[i]);
      if (isRead(i)) widen(tensors[i], copy);
      tensors[i] = std::move(copy);
    }
  };
  const auto always = [](size_t) { return true; };
  replace(wide.inputs, always);
  replace(wide.outputs, [&](size_t) { return call.backward; });
  replace(wide.gradOutputs, always);
  replace(wide.gradInputs, [&](size_t i) { return call.betas[i] != 0.0f; });
  kernel(wide);
  const auto store = [](const std::vector<Tensor>& from, const std::vector<Tensor>& to, const auto& isWritten) {
    for (size_t i = 0; i < to.size(); ++i)
      if (isBf16(to[i]) && isWritten(i)) narrow(from[i], to[i]);
  };
  if (call.backward) {
    store(wide.gradInputs, call.gradInputs, always);
  } else {
    store(wide.outputs, call.outputs, always);
    store(wide.inputs, call.inputs, [&](size_t i) { return call.spec->inputs[i].flags & kMutable; });
  }
}

}  // namespace hint
