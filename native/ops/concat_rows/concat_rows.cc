#include "native/ops/concat_rows/concat_rows.h"

#include "native/ops/common/gpu_work.h"

namespace hint {

OpSpec declare_concat_rows() {
  using namespace concat_rows;
  OpSpec op;
  op.name = "concat_rows";
  op.summary = "y = the rows of a, then the rows of b";
  op.inputs = {{"a", "rowsA d", kDifferentiable, kFloating}, {"b", "rowsB d", kDifferentiable, like("a")}};
  op.outputs = {{"y", "rows d", kDifferentiable, like("a")}};
  op.cpu = {forward, backward};
  op.resolve = [](Call& call) { call.setDim("rows", call.dim("rowsA") + call.dim("rowsB")); };
  op.gpuWork = [](const Call& call) {
    const int64_t ofA = call.dim("rowsA") * call.dim("d"), ofB = call.dim("rowsB") * call.dim("d");
    if (!call.backward) return computing(ofA) + computing(ofB);
    return computingEach(call, ofA, {kA}) + computingEach(call, ofB, {kB});
  };
  return op;
}

}  // namespace hint
