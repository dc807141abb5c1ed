#pragma once

#include "native/core/call.h"

/// One AdamW update (Loshchilov & Hutter, 2019) in place, decay decoupled from the gradient, as in PyTorch.
/// The parameter is f32 or bf16; it is computed with in f32, and the new value rounded as the call says.
namespace hint::adamw {

enum Input { kParameter, kGradient, kFirstMoment, kSecondMoment };

void forward(Call& call);

}  // namespace hint::adamw
