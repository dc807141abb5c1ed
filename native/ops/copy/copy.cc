#include "native/ops/copy/copy.h"

#include "native/ops/common/gpu_work.h"

namespace hint {

OpSpec declare_copy() {
  using namespace copy;
  OpSpec op;
  op.name = "copy";
  op.summary = "y = x, in its own memory";
  op.inputs = {{"x", "*n", kDifferentiable, kAnyDType}};
  op.outputs = {{"y", "*n", kDifferentiable, like("x")}};
  op.cpu = {forward, backward, ReadsBf16::always};
  op.gpuWork = [](const Call& call) {
    const int64_t n = call.dim("n");
    return call.backward ? computingEach(call, n, {kX}) : computing(n);
  };
  return op;
}

}  // namespace hint
