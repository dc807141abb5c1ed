#include "native/ops/scale/scale.h"

namespace hint {

OpSpec declare_scale() {
  using namespace scale;
  OpSpec op;
  op.name = "scale";
  op.summary = "y = factor * x";
  op.inputs = {{"x", "*n", kDifferentiable}};
  op.outputs = {{"y", "*n", kDifferentiable}};
  op.attributes = {{"factor", 1.0}};
  op.kernels[0] = {forward, backward};
  return op;
}

}  // namespace hint
