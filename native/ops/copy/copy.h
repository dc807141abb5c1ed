#pragma once

#include "native/core/call.h"

/// y = x in memory of its own, for any dtype.
namespace hint::copy {

enum Input { kX };
enum Output { kY };

void forward(Call& call);
/// Floats only.
void backward(Call& call);

}  // namespace hint::copy
