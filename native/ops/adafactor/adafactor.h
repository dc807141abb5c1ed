#pragma once

#include "native/core/call.h"

/// One Adafactor update (Shazeer & Stern, 2018) in place, with factored second moments, update clipping and a step
/// relative to the parameter's size, in the variant that T5 models are trained with. The parameter is f32 or bf16. The
/// update is computed in f32, and a bf16 result is rounded as the attribute `rounding` says.
namespace hint::adafactor {

enum Input { kParameter, kGradient, kRowMoment, kColumnMoment, kFullMoment };

void forward(Call& call);

}  // namespace hint::adafactor
