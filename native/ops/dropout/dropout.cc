#include "native/ops/dropout/dropout.h"

#include "native/ops/common/dropout_mask.h"

namespace hint {

OpSpec declare_dropout() {
  using namespace dropout;
  OpSpec op;
  op.name = "dropout";
  op.summary = "y = x * mask, one mask per sequence or per row";
  op.inputs = {{"x", "rows d", kDifferentiable, kFloating}};
  op.outputs = {{"y", "rows d", kDifferentiable, like("x")}};
  op.attributes = withDropout({{"seqOffsets", IntList{}}});
  op.cpu = {forward, backward};
  op.resolve = [](Call& call) { checkSequenceDropout(call, call.dim("rows")); };
  return op;
}

}  // namespace hint
