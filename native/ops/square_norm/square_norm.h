#pragma once

#include "native/core/call.h"

/// total += sum(x²), accumulated in double; NaN and infinity stay visible. For the global norm of all gradients.
namespace hint::square_norm {

enum Input { kX, kTotal };

void forward(Call& call);

}  // namespace hint::square_norm
