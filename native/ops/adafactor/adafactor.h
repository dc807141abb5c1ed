#pragma once

#include "native/ops/op.h"

/// One Adafactor update (Shazeer & Stern, 2018) in place, with factored second moments, update clipping and a step
/// relative to the parameter's size, in the variant that T5 models are trained with.
namespace hint::adafactor {

enum Input { kParameter, kGradient, kRowMoment, kColumnMoment, kFullMoment };

void forward(Call& call);

}  // namespace hint::adafactor
