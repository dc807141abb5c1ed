#include "native/ops/linear/linear.h"

#include "native/ops/common/activation.h"
#include "native/ops/common/gpu_work.h"

namespace hint {
namespace {

/// Forward: the product, and a pass after it when there is a bias or an activation that the product cannot apply.
/// Backward: a pass before the products when they do not use gy itself.
GpuWork gpuWork(const Call& call) {
  using namespace linear;
  const int64_t rows = call.dim("rows"), dIn = call.dim("dIn"), dOut = call.dim("dOut");
  const double elements = static_cast<double>(rows) * static_cast<double>(dOut);
  const bool hasActivation = activationOf(call) != Activation::none;
  const DType type = call.in(kX).dtype;
  if (!call.backward) {
    const bool rounds = type == DType::f32 && call.out(kY).dtype == DType::bf16;
    if (!hasActivation && !call.has(kBias) && !rounds) return computing(rows * dOut);
    const int tensors = rounds || !call.hasOut(kPreActivation) ? 2 : 3;
    return {2 * computing(rows * dOut).launches, tensors * bytesOf(elements, call.out(kY).dtype)};
  }
  const int products = (wantsGradient(call, kX) && rows * dIn > 0) + (wantsGradient(call, kWeight) && dOut * dIn > 0);
  const int biases = wantsGradient(call, kBias) && dOut > 0;
  const bool direct = !hasActivation && call.gradOutputs[kY].dtype == type;
  const bool hasRows = rows * dOut > 0;
  return {(!direct && hasRows) + products + (hasRows ? 2.0 : 1.0) * biases,
          bytesOf(elements, type) * (direct ? biases : 3 + biases)};
}

}  // namespace

OpSpec declare_linear() {
  using namespace linear;
  OpSpec op;
  op.name = "linear";
  op.summary = "y = activation(alpha * (x weight^T + bias))";
  op.inputs = {{"x", "rows dIn", kDifferentiable | kSaved, kFloating},
               {"weight", "dOut dIn", kDifferentiable | kSaved | kWideGradient, like("x")},
               {"bias", "dOut", kDifferentiable | kOptional}};
  op.outputs = {{"y", "rows dOut", kDifferentiable, chosenBy("outputDType", "x")},
                // Only the backward pass of an activation reads it.
                {"preActivation", "rows dOut", kSaved, chosenBy("outputDType", "x"), [](const Call& call) {
                   return call.integer("training") != 0 && activationOf(call) != Activation::none;
                 }}};
  op.attributes = {
      {"activation", std::string("none")}, {"alpha", 1.0}, {"training", int64_t{1}}, {"outputDType", std::string()}};
  op.cpu = {forward, backward, ReadsBf16::always};
  op.resolve = [](Call& call) { activationOf(call); };
  op.flops = [](const Call& call) { return 2.0 * call.dim("rows") * call.dim("dIn") * call.dim("dOut"); };
  op.backwardFlops = [](const Call& call) {
    return 2.0 * call.dim("rows") * call.dim("dIn") * call.dim("dOut") *
           ((call.gradInputs[kX] ? 1 : 0) + (call.gradInputs[kWeight] ? 1 : 0));
  };
  op.gpuWork = gpuWork;
  return op;
}

}  // namespace hint
