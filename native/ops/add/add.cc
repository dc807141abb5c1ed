#include "native/ops/add/add.h"

namespace hint {

OpSpec declare_add() {
  using namespace add;
  OpSpec op;
  op.name = "add";
  op.summary = "y = a + b";
  op.inputs = {{"a", "*n", kDifferentiable}, {"b", "*n", kDifferentiable}};
  op.outputs = {{"y", "*n", kDifferentiable}};
  op.kernels[0] = {forward, backward};
  return op;
}

}  // namespace hint
