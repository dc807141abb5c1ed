#include "native/ops/gated_gelu/gated_gelu.h"

#include "native/ops/common/dropout_mask.h"

namespace hint {

OpSpec declare_gated_gelu() {
  using namespace gated_gelu;
  OpSpec op;
  op.name = "gated_gelu";
  op.summary = "y = gelu(gate) * linear * mask";
  op.inputs = {{"gate", "rows dFf", kDifferentiable | kSaved, kFloating},
               {"linear", "rows dFf", kDifferentiable | kSaved, like("gate")}};
  op.outputs = {{"y", "rows dFf", kDifferentiable, like("gate")}};
  op.attributes = withDropout({{"seqOffsets", IntList{}}});
  op.cpu = {forward, backward};
  op.resolve = [](Call& call) { checkSequenceDropout(call, call.dim("rows")); };
  return op;
}

}  // namespace hint
