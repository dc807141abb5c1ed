#include "native/ops/adamw/adamw.h"

#include "native/core/error.h"
#include "native/ops/common/gpu_work.h"
#include "native/ops/common/rounding.h"

namespace hint {

OpSpec declare_adamw() {
  OpSpec op;
  op.name = "adamw";
  op.summary = "one AdamW update of a parameter and its moments, in place";
  op.inputs = {{"parameter", "*n", kMutable, kFloating},
               {"gradient", "*n"},
               {"firstMoment", "*n", kMutable},
               {"secondMoment", "*n", kMutable}};
  op.attributes = withRounding({{"learningRate", 0.0, true},
                                {"beta1", 0.9},
                                {"beta2", 0.999},
                                {"epsilon", 1e-8},
                                {"weightDecay", 0.0},
                                {"step", int64_t{1}, true},
                                {"gradientScale", 1.0}});
  op.cpu = {adamw::forward, nullptr};
  op.traffic = [](const Call& call) {
    double bytes = call.bytes();
    for (int updated : {adamw::kParameter, adamw::kFirstMoment, adamw::kSecondMoment})
      bytes += call.in(updated).bytes();
    return bytes;
  };
  op.resolve = [](Call& call) {
    roundingOf(call);
    if (call.integer("step") < 1)
      fail("INVALID_ARGUMENT", call.describe(), ": step counts from 1, not ", call.integer("step"), ".");
    for (const char* name : {"beta1", "beta2"})
      if (!(call.number(name) >= 0.0 && call.number(name) < 1.0))
        fail("INVALID_ARGUMENT", call.describe(), ": ", name, " must be in [0, 1), not ", call.number(name), ".");
  };
  op.gpuWork = [](const Call& call) {
    // One kernel for groups of eight elements, one for the remaining elements.
    return computing(call.dim("n") / 8) + computing(call.dim("n") % 8);
  };
  return op;
}

}  // namespace hint
