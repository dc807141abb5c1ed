#pragma once

#include "native/core/call.h"

/// y = activation(alpha * (x weightᵀ + bias)): the dense map of every family; T5 has no biases. alpha reaches the bias
/// too, so that it can be the 1/sqrt(headDim) of queries.
namespace hint::linear {

enum Input { kX, kWeight, kBias };
enum Output { kY, kPreActivation };

void forward(Call& call);
/// Reads x, weight and the pre-activation. With an activation, one pass turns dY into the gradient of its argument.
void backward(Call& call);

}  // namespace hint::linear
