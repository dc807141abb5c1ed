#pragma once

#include "native/core/call.h"

/// y = factor * sum(x), accumulated in double.
namespace hint::sum {

enum Input { kX };
enum Output { kY };

void forward(Call& call);
void backward(Call& call);

}  // namespace hint::sum
