#pragma once

#include "native/core/call.h"

/// y[s] = mean of rows offsets[s] .. offsets[s+1] of x: one vector per sequence of a ragged batch.
namespace hint::segment_mean {

enum Input { kX };
enum Output { kY };

void forward(Call& call);
void backward(Call& call);

}  // namespace hint::segment_mean
