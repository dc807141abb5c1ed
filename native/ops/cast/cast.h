#pragma once

#include "native/core/call.h"

/// y = x in the dtype `to`, between f32 and bf16. Conversion to bf16 rounds to the nearest, ties to even; NaN stays
/// NaN.
namespace hint::cast {

enum Input { kX };
enum Output { kY };

void forward(Call& call);

}  // namespace hint::cast
