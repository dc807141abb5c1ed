#pragma once

#include "native/core/call.h"

/// y = a + b, of one shape.
namespace hint::add {

enum Input { kA, kB };
enum Output { kY };

void forward(Call& call);
void backward(Call& call);

}  // namespace hint::add
