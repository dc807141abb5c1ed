#pragma once

#include "native/core/call.h"

/// destination = value, in place.
namespace hint::fill {

enum Input { kDestination };

void forward(Call& call);

}  // namespace hint::fill
