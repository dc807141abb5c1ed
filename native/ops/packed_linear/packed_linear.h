#pragma once

#include "native/core/call.h"

/// y = residual + activation(x W[group, slot] + bias[group, slot]): linear and grouped_linear of inference, over
/// weights that pack_weight has put in the machine's order. The cases "25 decoded rows" of `hint_op_bench --op linear
/// --op packed_linear` show the gain in a decoding step.
namespace hint::packed_linear {

enum Input { kX, kPacked, kScale, kColumnSum, kBias, kResidual, kRowFactor };
enum Output { kY };

void forward(Call& call);

}  // namespace hint::packed_linear
