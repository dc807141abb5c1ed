#include "native/ops/embedding/embedding.h"

#include "native/ops/common/gpu_work.h"

namespace hint {

OpSpec declare_embedding() {
  using namespace embedding;
  OpSpec op;
  op.name = "embedding";
  op.summary = "y[row] = table[ids[row]]";
  op.inputs = {{"ids", "rows", kSaved, DType::i32}, {"table", "vocab d", kDifferentiable | kWideGradient, kFloating}};
  op.outputs = {{"y", "rows d", kDifferentiable, chosenBy("outputDType", "table")}};
  op.attributes.push_back({"outputDType", std::string()});
  op.cpu = {forward, backward, ReadsBf16::always};
  op.resolve = [](Call& call) { checkIndexable(call, "rows"); };
  op.traffic = [](const Call& call) {
    const auto values = static_cast<double>(call.dim("rows") * call.dim("d"));
    const auto bytes = [&](const Tensor& tensor) { return values * static_cast<double>(sizeOf(tensor.dtype)); };
    if (!call.backward) return bytes(call.in(kTable)) + bytes(call.out(kY));
    const Tensor& gradient = call.gradInputs[kTable];
    if (!gradient) return 0.0;
    // The gradients of the rows are read and added to the table's gradient, which is zeroed first when its beta is 0.
    return bytes(call.out(kY)) + 2 * bytes(gradient) + (call.beta(kTable) == 0.0f ? gradient.bytes() : 0.0);
  };
  op.gpuWork = [](const Call& call) {
    const bool reads = call.dim("rows") > 0;
    if (!call.backward) return GpuWork{reads ? 1.0 : 0.0, 0};
    if (!wantsGradient(call, kTable)) return GpuWork{0, 0};
    return GpuWork{clearing(call, kTable).launches + (reads && call.gradOutputs[kY] ? 1.0 : 0.0), 0};
  };
  return op;
}

}  // namespace hint
