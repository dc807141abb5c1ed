#pragma once

#include "native/ops/op.h"

/// y = activation(alpha * x weightᵀ): the one dense map of T5, which has no biases.
namespace hint::linear {

enum Input { kX, kWeight };
enum Output { kY, kPreActivation };

void forward(Call& call);
/// Reads x, weight and the pre-activation. With an activation, one pass turns dY into the gradient of the product.
void backward(Call& call);

}  // namespace hint::linear
