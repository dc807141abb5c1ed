#pragma once

#include "native/ops/op.h"

/// The weights of packed_linear in the order in which the machine's kernels read them. `weight` holds a matrix per
/// group and slot: [dOut, dIn] each when `transposed` (as `linear` keeps them), else [dIn, dOut] (as a hypernetwork
/// generates them). The result has a meaning for packed_linear on the same machine only.
namespace hint::pack_weight {

enum Input { kWeight };
enum Output { kPacked };

void forward(Call& call);

}  // namespace hint::pack_weight
