#include "native/ops/sum/sum.h"

#include "native/ops/common/gpu_work.h"

namespace hint {

OpSpec declare_sum() {
  using namespace sum;
  OpSpec op;
  op.name = "sum";
  op.summary = "y = factor * sum(x)";
  op.inputs = {{"x", "*n", kDifferentiable, kFloating}};
  op.outputs = {{"y", "1", kDifferentiable}};
  op.attributes = {{"factor", 1.0}};
  op.cpu = {forward, backward};
  // One kernel computes partial sums, one adds them up.
  op.gpuWork = [](const Call& call) {
    return call.backward ? computingEach(call, call.dim("n"), {kX}) : GpuWork{2, 0};
  };
  return op;
}

}  // namespace hint
