#pragma once

#include "native/core/call.h"

/// The weights of packed_linear in the order in which the machine's kernels read them, as f32, bf16 or i8. `weight`,
/// f32 or bf16, holds a matrix per group and slot: [dOut, dIn] each when `transposed` (as `linear` keeps them), else
/// [dIn, dOut] (as a hypernetwork generates them). i8 has a scale and a sum of steps per column of the product. What
/// the processor has no products of is held as f32; bf16 is rounded all the same. `finite` refuses values that are no
/// finite numbers. The result has a meaning for packed_linear on the same machine only.
namespace hint::pack_weight {

enum Input { kWeight };
enum Output { kPacked, kScale, kColumnSum };

void forward(Call& call);

}  // namespace hint::pack_weight
