#include "native/ops/segment_mean/segment_mean.h"

#include "native/core/error.h"

namespace hint {

OpSpec declare_segment_mean() {
  using namespace segment_mean;
  OpSpec op;
  op.name = "segment_mean";
  op.summary = "y[s] = mean of the rows of segment s";
  op.inputs = {{"x", "rows d", kDifferentiable, kFloating}};
  op.outputs = {{"y", "segments d", kDifferentiable, like("x")}};
  op.attributes = {{"offsets", IntList{}, true}};
  op.cpu = {forward, backward};
  op.resolve = [](Call& call) {
    checkOffsets(call, "offsets", call.dim("rows"));
    const IntList& offsets = call.list("offsets");
    for (size_t i = 1; i < offsets.size(); ++i)
      if (offsets[i] == offsets[i - 1])
        fail("INVALID_SHAPE", call.describe(), ": segment ", i - 1, " has no rows, so it has no mean.");
    call.setDim("segments", static_cast<int64_t>(offsets.size()) - 1);
  };
  return op;
}

}  // namespace hint
