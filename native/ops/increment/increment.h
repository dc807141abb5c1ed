#pragma once

#include "native/core/call.h"

/// x = min(x + by, limit) for integers, in place: it counts the positions of rows in a recorded decoding step, and
/// keeps those of finished rows inside the position table.
namespace hint::increment {

enum Input { kX };

void forward(Call& call);

}  // namespace hint::increment
