#include "native/ops/scale/scale.h"

namespace hint {

OpSpec declare_scale() {
  using namespace scale;
  OpSpec op;
  op.name = "scale";
  op.summary = "y = factor * x";
  op.inputs = {{"x", "*n", kDifferentiable, kFloating}};
  op.outputs = {{"y", "*n", kDifferentiable, like("x")}};
  op.attributes = {{"factor", 1.0}};
  op.cpu = {forward, backward};
  return op;
}

}  // namespace hint
