#include "native/ops/embedding/embedding.h"

namespace hint {

OpSpec declare_embedding() {
  using namespace embedding;
  OpSpec op;
  op.name = "embedding";
  op.summary = "y[row] = table[ids[row]]";
  op.inputs = {{"ids", "rows", kSaved, DType::i32}, {"table", "vocab d", kDifferentiable | kWideGradient, kFloating}};
  op.outputs = {{"y", "rows d", kDifferentiable, like("table")}};
  op.kernels[0] = {forward, backward};
  op.traffic = [](const Call& call) {
    const auto rows = static_cast<double>(call.dim("rows") * call.dim("d")) * sizeOf(call.in(kTable).dtype);
    if (!call.backward) return 2 * rows;
    // Gradients of the rows are read and added to the table, which is zeroed first unless it is accumulated into.
    return 3 * rows + (call.gradInputs[kTable] && call.beta(kTable) == 0.0f ? call.gradInputs[kTable].bytes() : 0.0);
  };
  return op;
}

}  // namespace hint
