#include "native/ops/fill/fill.h"

namespace hint {

OpSpec declare_fill() {
  using namespace fill;
  OpSpec op;
  op.name = "fill";
  op.summary = "destination = value";
  op.inputs = {{"destination", "*n", kMutable | kUnwritten, kFloating}};
  op.attributes = {{"value", 0.0}};
  op.cpu = {forward, nullptr};
  return op;
}

}  // namespace hint
