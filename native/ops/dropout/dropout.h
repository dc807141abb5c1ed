#pragma once

#include "native/core/call.h"

/// y = x * mask, with one mask per sequence of `seqOffsets` shared by its rows, or one per row when that is empty.
namespace hint::dropout {

enum Input { kX };
enum Output { kY };

void forward(Call& call);
/// Draws the mask again; reads no saved values.
void backward(Call& call);

}  // namespace hint::dropout
