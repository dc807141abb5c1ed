#pragma once

#include "native/core/call.h"

/// One AdamW update (Loshchilov & Hutter, 2019) in place, decay decoupled from the gradient, as in PyTorch. The
/// parameter is f32 or bf16. The update is computed in f32, and a bf16 result is rounded as the attribute `rounding`
/// says.
namespace hint::adamw {

enum Input { kParameter, kGradient, kFirstMoment, kSecondMoment };

void forward(Call& call);

}  // namespace hint::adamw
