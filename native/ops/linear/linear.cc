#include "native/ops/linear/linear.h"

#include "native/ops/common/activation.h"

namespace hint {

OpSpec declare_linear() {
  using namespace linear;
  OpSpec op;
  op.name = "linear";
  op.summary = "y = activation(alpha * (x weight^T + bias))";
  op.inputs = {{"x", "rows dIn", kDifferentiable | kSaved, kFloating},
               {"weight", "dOut dIn", kDifferentiable | kSaved | kWideGradient, like("x")},
               {"bias", "dOut", kDifferentiable | kOptional}};
  op.outputs = {{"y", "rows dOut", kDifferentiable, chosenBy("outputDType", "x")},
                // Kept for the backward pass only, and only when there is an activation to differentiate.
                {"preActivation", "rows dOut", kSaved, chosenBy("outputDType", "x"), [](const Call& call) {
                   return call.integer("training") != 0 && activationOf(call) != Activation::none;
                 }}};
  op.attributes = {
      {"activation", std::string("none")}, {"alpha", 1.0}, {"training", int64_t{1}}, {"outputDType", std::string()}};
  op.cpu = {forward, backward};
  op.resolve = [](Call& call) { activationOf(call); };
  op.flops = [](const Call& call) { return 2.0 * call.dim("rows") * call.dim("dIn") * call.dim("dOut"); };
  op.backwardFlops = [](const Call& call) {
    return 2.0 * call.dim("rows") * call.dim("dIn") * call.dim("dOut") *
           ((call.gradInputs[kX] ? 1 : 0) + (call.gradInputs[kWeight] ? 1 : 0));
  };
  return op;
}

}  // namespace hint
