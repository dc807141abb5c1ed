#include "native/ops/copy/copy.h"

namespace hint {

OpSpec declare_copy() {
  using namespace copy;
  OpSpec op;
  op.name = "copy";
  op.summary = "y = x, in its own memory";
  op.inputs = {{"x", "*n", kDifferentiable, std::nullopt}};
  op.outputs = {{"y", "*n", kDifferentiable, std::nullopt}};
  op.kernels[0] = {forward, backward};
  return op;
}

}  // namespace hint
