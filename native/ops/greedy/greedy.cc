#include "native/ops/greedy/greedy.h"

#include "native/core/error.h"
#include "native/ops/common/gpu_work.h"

namespace hint {

OpSpec declare_greedy() {
  using namespace greedy;
  OpSpec op;
  op.name = "greedy";
  op.summary = "token = argmax(logits); advances the decoding state";
  op.inputs = {
      {"logits", "rows vocab", kRequired, kFloating}, {"token", "rows", kMutable, DType::i32},
      {"finished", "rows", kMutable, DType::i32},     {"tokens", "rows capacity", kMutable | kUnwritten, DType::i32},
      {"position", "1", kMutable, DType::i32},        {"stop", "1", kMutable, DType::i32}};
  op.attributes = {{"eosId", int64_t{1}}};
  op.cpu = {forward, nullptr};
  op.resolve = [](Call& call) {
    checkIndexable(call, "vocab");
    if (call.dim("vocab") == 0 && call.dim("rows") > 0)
      fail("INVALID_SHAPE", call.describe(), ": there is no token to choose from; logits need at least one column.");
  };
  op.gpuWork = [](const Call& call) {
    // One kernel chooses the tokens, one advances the state.
    return computing(call.dim("rows")) + GpuWork{1, 0};
  };
  return op;
}

}  // namespace hint
