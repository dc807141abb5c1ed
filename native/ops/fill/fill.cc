#include "native/ops/fill/fill.h"

#include "native/ops/common/gpu_work.h"

namespace hint {

OpSpec declare_fill() {
  using namespace fill;
  OpSpec op;
  op.name = "fill";
  op.summary = "destination = value";
  op.inputs = {{"destination", "*n", kMutable | kUnwritten, kFloating}};
  op.attributes = {{"value", 0.0}};
  op.cpu = {forward, nullptr};
  op.gpuWork = [](const Call& call) { return computing(call.dim("n")); };
  return op;
}

}  // namespace hint
