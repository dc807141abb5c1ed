#include "native/ops/scale/scale.h"

#include "native/ops/common/gpu_work.h"

namespace hint {

OpSpec declare_scale() {
  using namespace scale;
  OpSpec op;
  op.name = "scale";
  op.summary = "y = factor * x";
  op.inputs = {{"x", "*n", kDifferentiable, kFloating}};
  op.outputs = {{"y", "*n", kDifferentiable, like("x")}};
  op.attributes = {{"factor", 1.0}};
  op.cpu = {forward, backward};
  op.gpuWork = [](const Call& call) {
    const int64_t n = call.dim("n");
    return call.backward ? computingEach(call, n, {kX}) : computing(n);
  };
  return op;
}

}  // namespace hint
