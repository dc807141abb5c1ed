#pragma once

#include "native/core/call.h"

/// y = gelu(gate) * linear * mask: the middle of T5 v1.1's feed-forward layer, with its dropout.
namespace hint::gated_gelu {

enum Input { kGate, kLinear };
enum Output { kY };

void forward(Call& call);
/// Computes gelu and its derivative again from the gate; draws the mask again.
void backward(Call& call);

}  // namespace hint::gated_gelu
