#include "native/ops/gated_activation/gated_activation.h"

#include "native/ops/common/activation.h"
#include "native/ops/common/dropout_mask.h"
#include "native/ops/common/gpu_work.h"

namespace hint {

OpSpec declare_gated_activation() {
  using namespace gated_activation;
  OpSpec op;
  op.name = "gated_activation";
  op.summary = "y = activation(gate) * linear * mask";
  op.inputs = {{"gate", "rows dFf", kDifferentiable | kSaved, kFloating},
               {"linear", "rows dFf", kDifferentiable | kSaved, like("gate")}};
  op.outputs = {{"y", "rows dFf", kDifferentiable, like("gate")}};
  op.attributes = withDropout({{"activation", std::string("gelu")}, {"seqOffsets", IntList{}}});
  op.cpu = {forward, backward, ReadsBf16::forward};
  op.resolve = [](Call& call) {
    activationOf(call);
    checkSequenceDropout(call, call.dim("rows"));
  };
  op.gpuWork = [](const Call& call) {
    const int64_t elements = call.dim("rows") * call.dim("dFf");
    // One kernel computes both gradients.
    if (!call.backward || call.gradOutputs[kY]) return computing(elements);
    return computingEach(call, elements, {kGate, kLinear});
  };
  return op;
}

}  // namespace hint
