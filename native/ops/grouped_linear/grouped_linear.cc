#include "native/ops/grouped_linear/grouped_linear.h"

#include "native/ops/common/activation.h"
#include "native/ops/common/row_groups.h"

namespace hint {
namespace {

void resolve(Call& call) {
  activationOf(call);
  checkRowGroups(call, "weight");
}

}  // namespace

OpSpec declare_grouped_linear() {
  using namespace grouped_linear;
  OpSpec op;
  op.name = "grouped_linear";
  op.summary = "y = residual + activation(alpha * x weight[group, slot] + bias[group, slot])";
  op.inputs = {{"x", "rows dIn", kDifferentiable | kSaved, kFloating},
               {"weight", "groups slots dIn dOut", kDifferentiable | kSaved | kWideGradient, like("x")},
               {"bias", "groups slots dOut", kDifferentiable | kOptional | kWideGradient, like("x")},
               {"residual", "rows dOut", kDifferentiable | kOptional, kFloating}};
  op.outputs = {{"y", "rows dOut", kDifferentiable, chosenBy("outputDType", "x")},
                {"preActivation", "rows dOut", kSaved, chosenBy("outputDType", "x"), [](const Call& call) {
                   return call.integer("training") != 0 && activationOf(call) != Activation::none;
                 }}};
  op.attributes = {
      {"rowOffsets", IntList{}}, {"slot", int64_t{0}},          {"activation", std::string("none")}, {"alpha", 1.0},
      {"training", int64_t{1}},  {"outputDType", std::string()}};
  op.cpu = {forward, backward};
  op.resolve = resolve;
  op.flops = [](const Call& call) { return 2.0 * call.dim("rows") * call.dim("dIn") * call.dim("dOut"); };
  op.backwardFlops = [](const Call& call) {
    return 2.0 * call.dim("rows") * call.dim("dIn") * call.dim("dOut") *
           ((call.gradInputs[kX] ? 1 : 0) + (call.gradInputs[kWeight] ? 1 : 0));
  };
  return op;
}

}  // namespace hint
