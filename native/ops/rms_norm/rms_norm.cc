#include "native/ops/rms_norm/rms_norm.h"

#include "native/ops/common/dropout_mask.h"
#include "native/ops/common/norm_work.h"

namespace hint {
OpSpec declare_rms_norm() {
  using namespace rms_norm;
  OpSpec op;
  op.name = "rms_norm";
  op.summary = "y = weight * s * rstd(s), s = x + dropout(delta)";
  op.inputs = {{"x", "rows d", kDifferentiable | kSaved, kFloating},
               {"delta", "rows d", kDifferentiable | kOptional, kFloating},
               {"weight", "d", kDifferentiable | kSaved}};
  op.outputs = {
      {"y", "rows d", kDifferentiable, chosenBy("outputDType", "x")},
      // The residual stream is f32 for every dtype of delta, because it accumulates over all layers.
      {"sum", "rows d", kDifferentiable | kSaved, DType::f32, [](const Call& call) { return call.has(kDelta); }},
      {"rstd", "rows", kSaved}};
  op.attributes = withDropout({{"epsilon", 1e-6}, {"seqOffsets", IntList{}}, {"outputDType", std::string()}});
  op.cpu = {forward, backward, ReadsBf16::forward};
  op.resolve = [](Call& call) { checkSequenceDropout(call, call.dim("rows")); };
  op.gpuWork = [](const Call& call) { return normGpuWork(call, -1); };
  return op;
}

}  // namespace hint
