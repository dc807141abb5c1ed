#pragma once

#include "native/core/call.h"

/// y = weight * s / sqrt(mean(s²) + epsilon), T5's layer norm without mean and bias; with `delta` also the residual
/// addition in front of it: s = x + dropout(delta), otherwise s = x.
namespace hint::rms_norm {

enum Input { kX, kDelta, kWeight };
enum Output { kY, kSum, kRstd };

void forward(Call& call);
/// Reads s (the output `sum`, or x without delta), weight and rstd; draws the mask again.
void backward(Call& call);

}  // namespace hint::rms_norm
