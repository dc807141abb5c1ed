#include "native/ops/cross_entropy/cross_entropy.h"

#include "native/core/error.h"

namespace hint {
namespace {

double productFlops(const Call& call) { return 2.0 * call.dim("rows") * call.dim("d") * call.dim("vocab"); }

}  // namespace

OpSpec declare_cross_entropy() {
  using namespace cross_entropy;
  OpSpec op;
  op.name = "cross_entropy";
  op.summary = "loss = -log softmax(hidden weight^T)[target] of every row, and zTerm = zLoss * logSumExp^2";
  op.inputs = {{"hidden", "rows d", kDifferentiable | kSaved, kFloating},
               {"weight", "vocab d", kDifferentiable | kSaved | kWideGradient, like("hidden")},
               {"targets", "rows", kSaved, DType::i32}};
  op.outputs = {{"loss", "rows", kDifferentiable}, {"zTerm", "rows", kDifferentiable}, {"logSumExp", "rows", kSaved}};
  op.attributes = {{"zLoss", 0.0}, {"chunkRows", int64_t{0}}};
  op.cpu = {forward, backward};
  op.resolve = [](Call& call) {
    if (call.dim("d") < 1)
      fail("INVALID_SHAPE", call.describe(), ": hidden has rows without values; give it at least one column.");
    if (call.integer("chunkRows") < 0)
      fail("INVALID_ARGUMENT", call.describe(), ": chunkRows must be 0 (automatic) or positive, not ",
           call.integer("chunkRows"), ".");
  };
  op.flops = productFlops;
  // The logits are computed again.
  op.backwardFlops = [](const Call& call) {
    return productFlops(call) * (1 + (call.gradInputs[kHidden] ? 1 : 0) + (call.gradInputs[kWeight] ? 1 : 0));
  };
  return op;
}

}  // namespace hint
