#include "native/ops/pack_weight/pack_weight.h"

#include "native/runtime/packed_matrix.h"

namespace hint {

OpSpec declare_pack_weight() {
  using namespace pack_weight;
  OpSpec op;
  op.name = "pack_weight";
  op.summary = "the weights of packed_linear, in the machine's order";
  op.inputs = {{"weight", "groups slots rows columns"}};
  op.outputs = {{"packed", "groups slots floats"}};
  op.attributes = {{"transposed", int64_t{1}}};
  op.kernels[0] = {forward, nullptr};
  op.resolve = [](Call& call) {
    const bool transposed = call.integer("transposed") != 0;
    call.setDim("floats",
                packedFloats(call.dim(transposed ? "columns" : "rows"), call.dim(transposed ? "rows" : "columns")));
  };
  return op;
}

}  // namespace hint
