#include "native/ops/square_norm/square_norm.h"

namespace hint {

OpSpec declare_square_norm() {
  using namespace square_norm;
  OpSpec op;
  op.name = "square_norm";
  op.summary = "total += sum(x^2)";
  op.inputs = {{"x", "*n", kRequired, kFloating}, {"total", "1", kMutable}};
  op.cpu = {forward, nullptr};
  // One kernel computes partial sums, one adds them up.
  op.gpuWork = [](const Call& call) { return GpuWork{call.backward ? 1.0 : 2.0, 0}; };
  return op;
}

}  // namespace hint
