#pragma once

#include "native/core/call.h"

/// total += sum(x²), accumulated in double; a NaN or an infinity in x makes total NaN or infinite. It computes the norm
/// of all gradients.
namespace hint::square_norm {

enum Input { kX, kTotal };

void forward(Call& call);

}  // namespace hint::square_norm
