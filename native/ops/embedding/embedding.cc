#include "native/ops/embedding/embedding.h"

namespace hint {

OpSpec declare_embedding() {
  using namespace embedding;
  OpSpec op;
  op.name = "embedding";
  op.summary = "y[row] = table[ids[row]]";
  op.inputs = {{"ids", "rows", kSaved, DType::i32}, {"table", "vocab d", kDifferentiable}};
  op.outputs = {{"y", "rows d", kDifferentiable}};
  op.kernels[0] = {forward, backward};
  return op;
}

}  // namespace hint
