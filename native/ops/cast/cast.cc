#include "native/ops/cast/cast.h"

#include "native/ops/common/gpu_work.h"

namespace hint {

OpSpec declare_cast() {
  using namespace cast;
  OpSpec op;
  op.name = "cast";
  op.summary = "y = x in another floating-point dtype";
  op.inputs = {{"x", "*n", kRequired, kFloating}};
  op.outputs = {{"y", "*n", kRequired, chosenBy("to")}};
  op.attributes.push_back({"to", std::string("bf16")});
  op.cpu = {forward, nullptr, ReadsBf16::always};
  op.gpuWork = [](const Call& call) { return computing(call.dim("n")); };
  return op;
}

}  // namespace hint
