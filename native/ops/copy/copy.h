#pragma once

#include "native/core/call.h"

/// y = x in new memory, for any dtype.
namespace hint::copy {

enum Input { kX };
enum Output { kY };

void forward(Call& call);
/// For floating dtypes only.
void backward(Call& call);

}  // namespace hint::copy
