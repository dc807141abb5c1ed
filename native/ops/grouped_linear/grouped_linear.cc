#include "native/ops/grouped_linear/grouped_linear.h"

#include "native/ops/common/activation.h"
#include "native/ops/common/gpu_work.h"
#include "native/ops/common/row_groups.h"

namespace hint {
namespace {

void resolve(Call& call) {
  activationOf(call);
  checkRowGroups(call, "weight");
}

/// One launch per product. The backward pass has one more before its products when they do not use gy itself, and one
/// that zeroes the other slots.
GpuWork gpuWork(const Call& call) {
  using namespace grouped_linear;
  const int64_t rows = call.dim("rows"), dIn = call.dim("dIn"), dOut = call.dim("dOut"), groups = call.dim("groups");
  if (!call.backward) return computing(rows * dOut);
  const auto elements = static_cast<double>(rows * dOut);
  const DType type = call.in(kX).dtype;
  GpuWork work = wantsGradient(call, kResidual) ? computing(rows * dOut) : GpuWork{0, 0};
  const bool x = wantsGradient(call, kX), weight = wantsGradient(call, kWeight), bias = wantsGradient(call, kBias);
  if (!x && !weight && !bias) return work;
  const int kernels = (x && rows * dIn > 0) + (weight && groups * dIn * dOut > 0) + (bias && groups * dOut > 0);
  const bool direct = activationOf(call) == Activation::none && call.gradOutputs[kY].dtype == type;
  work = work +
         GpuWork{(!direct && elements > 0 ? 1.0 : 0.0) + kernels, bytesOf(elements, type) * ((direct ? 0 : 3) + bias)};
  if (call.dim("slots") > 1) work = work + clearing(call, kWeight) + clearing(call, kBias);
  return work;
}

}  // namespace

OpSpec declare_grouped_linear() {
  using namespace grouped_linear;
  OpSpec op;
  op.name = "grouped_linear";
  op.summary = "y = residual + activation(alpha * x weight[group, slot] + bias[group, slot])";
  op.inputs = {{"x", "rows dIn", kDifferentiable | kSaved | kWideGradient, kFloating},
               {"weight", "groups slots dIn dOut", kDifferentiable | kSaved | kWideGradient, like("x")},
               {"bias", "groups slots dOut", kDifferentiable | kOptional | kWideGradient, like("x")},
               {"residual", "rows dOut", kDifferentiable | kOptional, kFloating}};
  op.outputs = {{"y", "rows dOut", kDifferentiable, chosenBy("outputDType", "x")},
                {"preActivation", "rows dOut", kSaved, chosenBy("outputDType", "x"), [](const Call& call) {
                   return call.integer("training") != 0 && activationOf(call) != Activation::none;
                 }}};
  op.attributes = {
      {"rowOffsets", IntList{}}, {"slot", int64_t{0}},          {"activation", std::string("none")}, {"alpha", 1.0},
      {"training", int64_t{1}},  {"outputDType", std::string()}};
  op.cpu = {forward, backward, ReadsBf16::always};
  op.resolve = resolve;
  op.flops = [](const Call& call) { return 2.0 * call.dim("rows") * call.dim("dIn") * call.dim("dOut"); };
  op.backwardFlops = [](const Call& call) {
    return 2.0 * call.dim("rows") * call.dim("dIn") * call.dim("dOut") *
           ((call.gradInputs[kX] ? 1 : 0) + (call.gradInputs[kWeight] ? 1 : 0));
  };
  op.gpuWork = gpuWork;
  return op;
}

}  // namespace hint
