#include "native/ops/cross_entropy/cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "native/core/error.h"
#include "native/ops/common/gpu_work.h"

namespace hint {
namespace {

double productFlops(const Call& call) { return 2.0 * call.dim("rows") * call.dim("d") * call.dim("vocab"); }

/// For each chunk of rows: a product for the logits and a pass over them; in the backward pass also the products of
/// their gradient.
GpuWork gpuWork(const Call& call) {
  using namespace cross_entropy;
  const auto rows = static_cast<double>(call.dim("rows"));
  if (rows == 0) return call.backward ? clearing(call, kWeight) : GpuWork{0, 0};
  const double chunks = std::ceil(rows / static_cast<double>(gpuChunkRows(call)));
  const double values = rows * static_cast<double>(call.dim("vocab"));
  // The product writes f32 logits to scratch memory, which is no tensor of the call.
  if (!call.backward) return {2 * chunks, 2 * bytesOf(values, DType::f32)};
  const int products = wantsGradient(call, kHidden) + wantsGradient(call, kWeight);
  return {chunks * (2 + products),
          2 * bytesOf(values, DType::f32) + (1 + products) * bytesOf(values, call.in(kHidden).dtype)};
}

}  // namespace

int64_t cross_entropy::gpuChunkRows(const Call& call) {
  constexpr int64_t kLogits = int64_t{1} << 26;
  const int64_t asked = call.integer("chunkRows"), vocab = std::max<int64_t>(1, call.dim("vocab"));
  return std::min(call.dim("rows"), asked > 0 ? asked : std::max<int64_t>(128, kLogits / vocab));
}

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
  op.cpu = {forward, backward, ReadsBf16::always};
  op.resolve = [](Call& call) {
    if (call.dim("d") < 1)
      fail("INVALID_SHAPE", call.describe(), ": hidden has rows without values; give it at least one column.");
    if (call.integer("chunkRows") < 0)
      fail("INVALID_ARGUMENT", call.describe(), ": chunkRows must be 0 (automatic) or positive, not ",
           call.integer("chunkRows"), ".");
  };
  op.flops = productFlops;
  // The backward pass computes the logits again.
  op.backwardFlops = [](const Call& call) {
    return productFlops(call) * (1 + (call.gradInputs[kHidden] ? 1 : 0) + (call.gradInputs[kWeight] ? 1 : 0));
  };
  op.gpuWork = gpuWork;
  return op;
}

}  // namespace hint
