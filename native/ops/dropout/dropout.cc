#include "native/ops/dropout/dropout.h"

#include "native/ops/dropout/mask.h"

namespace hint {

OpSpec declare_dropout() {
  using namespace dropout;
  OpSpec op;
  op.name = "dropout";
  op.summary = "y = x * mask, one mask per sequence or per row";
  op.inputs = {{"x", "rows d", kDifferentiable, kFloating}};
  op.outputs = {{"y", "rows d", kDifferentiable, like("x")}};
  op.attributes = withDropout({{"seqOffsets", IntList{}}});
  op.kernels[0] = {forward, backward};
  op.resolve = [](Call& call) { checkSequenceDropout(call, call.dim("rows")); };
  return op;
}

}  // namespace hint
