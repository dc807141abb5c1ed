#pragma once

#include "native/core/call.h"

/// y = weight * (s - mean(s)) / sqrt(variance(s) + epsilon) + bias per row; with `delta` also the residual addition in
/// front of it: s = x + dropout(delta), otherwise s = x. The norm of GPT-2 and OPT.
namespace hint::layer_norm {

enum Input { kX, kDelta, kWeight, kBias };
enum Output { kY, kSum, kMean, kRstd };

void forward(Call& call);
/// Reads s (the output `sum`, or x without delta), weight, mean and rstd; draws the mask again.
void backward(Call& call);

}  // namespace hint::layer_norm
