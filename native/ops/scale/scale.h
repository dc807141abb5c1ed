#pragma once

#include "native/core/call.h"

/// y = factor * x.
namespace hint::scale {

enum Input { kX };
enum Output { kY };

void forward(Call& call);
void backward(Call& call);

}  // namespace hint::scale
