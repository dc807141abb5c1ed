#pragma once

#include "native/core/call.h"

/// y = the rows of a followed by the rows of b.
namespace hint::concat_rows {

enum Input { kA, kB };
enum Output { kY };

void forward(Call& call);
void backward(Call& call);

}  // namespace hint::concat_rows
