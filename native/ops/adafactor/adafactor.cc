#include "native/ops/adafactor/adafactor.h"

#include "native/core/error.h"
#include "native/ops/common/rounding.h"

namespace hint {
namespace {

void resolve(Call& call) {
  using namespace adafactor;
  const bool row = call.has(kRowMoment), column = call.has(kColumnMoment), full = call.has(kFullMoment);
  if (row != column || row == full)
    fail("INVALID_ARGUMENT", call.describe(),
         ": give either rowMoment and columnMoment (factored) or fullMoment, and not both.");
  if (!(call.number("decay") >= 0.0 && call.number("decay") <= 1.0))
    fail("INVALID_ARGUMENT", call.describe(), ": decay must be in [0, 1], not ", call.number("decay"), ".");
  roundingOf(call);
  const Shape& shape = call.in(kParameter).shape;
  if (row && (shape.size() != 2 || shape[0] != call.dim("rows") || shape[1] != call.dim("columns")))
    fail("INVALID_SHAPE", call.describe(), ": a factored parameter must be [", call.dim("rows"), ", ",
         call.dim("columns"), "] as its moments say, not ", toString(shape), ".");
}

/// The step size depends on sums over all elements, and clipping on the moments, so tensors larger than a cache are
/// read again.
double traffic(const Call& call) {
  const Tensor &parameter = call.in(adafactor::kParameter), &gradient = call.in(adafactor::kGradient);
  const bool isScaled = call.integer("multiplyByParameterScale") != 0, isFull = call.has(adafactor::kFullMoment);
  const double gradientReads = isFull || !(call.number("clippingThreshold") > 0) ? 2 : 3;
  double bytes = parameter.bytes() * (isScaled ? 3.0 : 2.0) + gradient.bytes() * gradientReads;
  for (int moment : {adafactor::kRowMoment, adafactor::kColumnMoment, adafactor::kFullMoment})
    if (call.has(moment)) bytes += 3.0 * call.in(moment).bytes();
  return bytes;
}

/// A kernel before the update computes the sums that the step size depends on; a small tensor takes one kernel for
/// both.
GpuWork gpuWork(const Call& call) {
  constexpr int64_t kSmall = 16384;
  const int64_t count = call.dim("n");
  if (count == 0) return {0, 0};
  if (count <= kSmall) return {1, 0};
  if (call.has(adafactor::kFullMoment)) return {2, 0};
  return {call.number("clippingThreshold") > 0 ? 3.0 : 2.0, 0};
}

}  // namespace

OpSpec declare_adafactor() {
  OpSpec op;
  op.name = "adafactor";
  op.summary = "one Adafactor update of a parameter and its moments, in place";
  op.inputs = {{"parameter", "*n", kMutable, kFloating},
               {"gradient", "*n"},
               {"rowMoment", "rows", kMutable | kOptional},
               {"columnMoment", "columns", kMutable | kOptional},
               {"fullMoment", "*n", kMutable | kOptional}};
  op.attributes = withRounding({{"learningRate", 0.0, true},
                                {"decay", 0.0, true},
                                {"epsilon1", 1e-30},
                                {"epsilon2", 1e-3},
                                {"clippingThreshold", 1.0},
                                {"multiplyByParameterScale", int64_t{1}},
                                {"gradientScale", 1.0}});
  op.cpu = {adafactor::forward, nullptr};
  op.resolve = resolve;
  op.traffic = traffic;
  op.gpuWork = gpuWork;
  return op;
}

}  // namespace hint
