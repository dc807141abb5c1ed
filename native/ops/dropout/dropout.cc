#include "native/ops/dropout/dropout.h"

#include "native/ops/common/dropout_mask.h"
#include "native/ops/common/gpu_work.h"

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
  op.gpuWork = [](const Call& call) {
    const int64_t elements = call.dim("rows") * call.dim("d");
    return call.backward ? computingEach(call, elements, {kX}) : computing(elements);
  };
  return op;
}

}  // namespace hint
