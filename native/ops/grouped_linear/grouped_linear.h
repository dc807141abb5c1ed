#pragma once

#include "native/core/call.h"

/// y = residual + activation(alpha * x weight[group, slot] + bias[group, slot]): the dense map whose weights belong to
/// the group of the row (the task of an example), stored [dIn, dOut] as a hypernetwork generates them.
namespace hint::grouped_linear {

enum Input { kX, kWeight, kBias, kResidual };
enum Output { kY, kPreActivation };

void forward(Call& call);
/// Reads x, weight and the pre-activation. Slots other than `slot`, and groups without rows, get a zero gradient.
void backward(Call& call);

}  // namespace hint::grouped_linear
