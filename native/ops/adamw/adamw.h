#pragma once

#include "native/ops/op.h"

/// One AdamW update (Loshchilov & Hutter, 2019) in place, decay decoupled from the gradient, as in PyTorch.
namespace hint::adamw {

enum Input { kParameter, kGradient, kFirstMoment, kSecondMoment };

void forward(Call& call);

}  // namespace hint::adamw
