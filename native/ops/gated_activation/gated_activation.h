#pragma once

#include "native/core/call.h"

/// y = activation(gate) * linear * mask: the middle of a gated feed-forward layer, with its dropout; in T5 v1.1 a GELU.
namespace hint::gated_activation {

enum Input { kGate, kLinear };
enum Output { kY };

void forward(Call& call);
/// Computes the activation and its derivative again from the gate; draws the mask again.
void backward(Call& call);

}  // namespace hint::gated_activation
