#include "native/ops/layer_norm/layer_norm.h"

#include "native/ops/common/dropout_mask.h"
#include "native/ops/common/norm_work.h"

namespace hint {
OpSpec declare_layer_norm() {
  using namespace layer_norm;
  OpSpec op;
  op.name = "layer_norm";
  op.summary = "y = weight * (s - mean) * rstd + bias, s = x + dropout(delta)";
  op.inputs = {{"x", "rows d", kDifferentiable | kSaved, kFloating},
               {"delta", "rows d", kDifferentiable | kOptional, kFloating},
               {"weight", "d", kDifferentiable | kSaved},
               {"bias", "d", kDifferentiable}};
  op.outputs = {
      {"y", "rows d", kDifferentiable, chosenBy("outputDType", "x")},
      // The residual stream is f32 for every dtype of delta, because it accumulates over all layers.
      {"sum", "rows d", kDifferentiable | kSaved, DType::f32, [](const Call& call) { return call.has(kDelta); }},
      {"mean", "rows", kSaved},
      {"rstd", "rows", kSaved}};
  op.attributes = withDropout({{"epsilon", 1e-5}, {"seqOffsets", IntList{}}, {"outputDType", std::string()}});
  op.cpu = {forward, backward, ReadsBf16::forward};
  op.resolve = [](Call& call) { checkSequenceDropout(call, call.dim("rows")); };
  op.gpuWork = [](const Call& call) { return normGpuWork(call, kBias); };
  return op;
}

}  // namespace hint
