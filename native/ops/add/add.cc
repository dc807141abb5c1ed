#include "native/ops/add/add.h"

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
  return op;
}

}  // namespace hint
