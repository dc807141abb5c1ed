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
    const auto isThere = [&](int input) { return !call.backward || wantsGradient(call, input); };
    return GpuWork{static_cast<double>((call.dim("rowsA") > 0 && isThere(kA)) + (call.dim("rowsB") > 0 && isThere(kB))),
                   0};
  };
  return op;
}

}  // namespace hint
