#include "native/ops/top_k/top_k.h"

#include "native/core/error.h"
#include "native/ops/common/gpu_work.h"

namespace hint {

OpSpec declare_top_k() {
  using namespace top_k;
  OpSpec op;
  op.name = "top_k";
  op.summary = "the k largest of log_softmax(logits) of each row, largest first, and their ids; ties by lowest id";
  op.inputs = {{"logits", "rows vocab", kRequired, kFloating}};
  op.outputs = {{"logProbs", "rows k"}, {"ids", "rows k", kRequired, DType::i32}};
  op.attributes = {{"k", int64_t{1}, true}};
  op.cpu = {forward, nullptr};
  op.resolve = [](Call& call) {
    checkIndexable(call, "vocab");
    const int64_t k = call.integer("k"), vocab = call.dim("vocab");
    if (k < 1 || k > vocab)
      fail("INVALID_ARGUMENT", call.describe(), ": k is ", k, "; give 1 to ", vocab, ", the tokens there are.");
    call.setDim("k", k);
  };
  op.gpuWork = [](const Call& call) { return computing(call.dim("rows")); };
  return op;
}

}  // namespace hint
