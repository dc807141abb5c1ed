#include "native/ops/copy/copy.h"

namespace hint {

OpSpec declare_copy() {
  using namespace copy;
  OpSpec op;
  op.name = "copy";
  op.summary = "y = x, in its own memory";
  op.inputs = {{"x", "*n", kDifferentiable, kAnyDType}};
  op.outputs = {{"y", "*n", kDifferentiable, like("x")}};
  op.cpu = {forward, backward, true};
  return op;
}

}  // namespace hint
