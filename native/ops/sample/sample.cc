#include "native/ops/sample/sample.h"

#include <cmath>

#include "native/core/error.h"
#include "native/ops/common/gpu_work.h"

namespace hint {

OpSpec declare_sample() {
  using namespace sample;
  OpSpec op;
  op.name = "sample";
  op.summary = "draws token from softmax(logits / temperature) within topK and topP; advances the decoding state";
  op.inputs = {{"logits", "rows vocab", kRequired, kFloating},
               {"stream", "rows 2", kRequired, DType::i32},
               {"token", "rows", kMutable, DType::i32},
               {"finished", "rows", kMutable, DType::i32},
               {"tokens", "rows capacity", kMutable | kUnwritten, DType::i32},
               {"logProbs", "rows capacity", kMutable | kUnwritten},
               {"position", "1", kMutable, DType::i32},
               {"stop", "1", kMutable, DType::i32}};
  op.attributes = {{"eosId", int64_t{1}}, {"temperature", 1.0}, {"topK", int64_t{0}}, {"topP", 1.0}, {"seed", 0.0}};
  op.cpu = {forward, nullptr};
  op.resolve = [](Call& call) {
    checkIndexable(call, "vocab");
    if (call.dim("vocab") == 0 && call.dim("rows") > 0)
      fail("INVALID_SHAPE", call.describe(), ": there is no token to choose from; logits need at least one column.");
    const double temperature = call.number("temperature"), topP = call.number("topP"), seed = call.number("seed");
    if (!(temperature >= 0 && std::isfinite(temperature)))
      fail("INVALID_ARGUMENT", call.describe(), ": temperature is ", temperature, "; give a number of at least 0.");
    if (call.integer("topK") < 0)
      fail("INVALID_ARGUMENT", call.describe(), ": topK is ", call.integer("topK"), "; give 1 or more, or 0 for all.");
    if (!(topP > 0 && topP <= 1))
      fail("INVALID_ARGUMENT", call.describe(), ": topP is ", topP, "; give a number above 0, up to 1.");
    if (!(seed >= 0 && seed < 9007199254740992.0 && seed == std::floor(seed)))
      fail("INVALID_ARGUMENT", call.describe(), ": seed is ", seed, ", but must be an integer from 0 to 2^53 - 1.");
  };
  op.gpuWork = [](const Call& call) {
    // One kernel chooses the tokens, one advances the state.
    return computing(call.dim("rows")) + GpuWork{1, 0};
  };
  return op;
}

}  // namespace hint
