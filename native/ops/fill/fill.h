#pragma once

#include "native/ops/op.h"

/// destination = value, in place.
namespace hint::fill {

enum Input { kDestination };

void forward(Call& call);

}  // namespace hint::fill
