#include "native/ops/add/add.h"

#include "native/ops/common/gpu_work.h"

namespace hint {

OpSpec declare_add() {
  using namespace add;
  OpSpec op;
  op.name = "add";
  op.summary = "y = a + b";
  op.inputs = {{"a", "*n", kDifferentiable, kFloating}, {"b", "*n", kDifferentiable, kFloating}};
  op.outputs = {{"y", "*n", kDifferentiable, chosenBy("outputDType", "a")}};
  op.attributes = {{"outputDType", std::string()}};
  op.cpu = {forward, backward};
  op.gpuWork = [](const Call& call) {
    const int64_t n = call.dim("n");
    return call.backward ? computingEach(call, n, {kA, kB}) : computing(n);
  };
  return op;
}

}  // namespace hint
