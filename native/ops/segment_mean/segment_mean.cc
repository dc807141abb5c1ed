#include "native/ops/segment_mean/segment_mean.h"

#include "native/core/error.h"
#include "native/ops/common/gpu_work.h"

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
  op.gpuWork = [](const Call& call) {
    const int64_t d = call.dim("d");
    if (!call.backward) return computing(call.dim("segments") * d);
    return computingEach(call, call.dim("rows") * d, {kX});
  };
  return op;
}

}  // namespace hint
