#pragma once

#include <cstdint>
#include <optional>

#include "native/core/call.h"
#include "native/math/gemm.h"
#include "native/ops/common/activation.h"
#include "native/runtime/scratch.h"

namespace hint {

/// The gradient of activation(product), and what it is before the activation: what the backward products of `linear`
/// and its like multiply by. Tensors are f32 or bf16; nothing is computed before it is asked for.
class ResultGradient {
 public:
  /// `gradient` and `preActivation` have the same shape and live as long as this; the latter is read where there is an
  /// activation. Throws INVALID_ARGUMENT when the call kept no `preActivation`.
  ResultGradient(const Call& call, const Tensor& gradient, const Tensor& preActivation);

  /// The gradient as it was given, widened where it is bf16.
  const float* given();
  /// The gradient before the activation.
  const float* floats();
  /// The same as a factor beside another of `dtype`.
  Factor factor(DType dtype);

 private:
  /// Values [begin, begin + count) of the gradient before the activation, on the calling thread.
  void compute(int64_t begin, int64_t count, float* to) const;

  const Tensor &gradient_, &preActivation_;
  Activation activation_;
  std::optional<Scratch> given_, floats_, rounded_;
};

}  // namespace hint
