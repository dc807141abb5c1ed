#include "native/ops/layer_norm/layer_norm.h"

#include "native/ops/common/dropout_mask.h"
#include "native/ops/common/gpu_work.h"

namespace hint {
namespace {

/// Backward reads what it is given once for the rows and once more for the sums over them, two kernels each.
GpuWork gpuWork(const Call& call) {
  using namespace layer_norm;
  if (!call.backward) return {call.dim("rows") > 0 ? 1.0 : 0.0, 0};
  const double values = static_cast<double>(call.dim("rows")) * static_cast<double>(call.dim("d"));
  const bool rows = call.dim("rows") > 0 && (wantsGradient(call, kX) || wantsGradient(call, kDelta));
  const int sums = wantsGradient(call, kWeight) + wantsGradient(call, kBias);
  return {rows + (call.dim("rows") > 0 ? 2.0 : 1.0) * sums,
          rows ? sums * (bytesOf(values, DType::f32) + bytesOf(values, call.gradOutputs[kY].dtype)) : 0};
}

}  // namespace

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
      // The residual stream: what is added up over all layers stays f32, whatever is added.
      {"sum", "rows d", kDifferentiable | kSaved, DType::f32, [](const Call& call) { return call.has(kDelta); }},
      {"mean", "rows", kSaved},
      {"rstd", "rows", kSaved}};
  op.attributes = withDropout({{"epsilon", 1e-5}, {"seqOffsets", IntList{}}, {"outputDType", std::string()}});
  op.cpu = {forward, backward};
  op.resolve = [](Call& call) { checkSequenceDropout(call, call.dim("rows")); };
  op.gpuWork = gpuWork;
  return op;
}

}  // namespace hint
