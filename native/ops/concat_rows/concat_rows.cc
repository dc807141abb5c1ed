#include "native/ops/concat_rows/concat_rows.h"

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
  return op;
}

}  // namespace hint
