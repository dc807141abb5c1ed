#pragma once

#include "native/core/call.h"

/// The weights of packed_linear in the order in which the machine's kernels read them, as f32, bf16 or i8. `weight`,
/// f32 or bf16, holds a matrix per group and slot: [dOut, dIn] each when `transposed` (as `linear` keeps them), else
/// [dIn, dOut] (as a hypernetwork generates them). i8 has a scale and a sum of steps per column of the product, and a
/// factor per row of the matrix (native/math/quantize.h). A dtype that the processor cannot multiply is stored as f32,
/// for bf16 with rounded values. `finite` refuses infinities and NaN. Only packed_linear on the same machine can use
/// the result.
namespace hint::pack_weight {

enum Input { kWeight };
enum Output { kPacked, kScale, kColumnSum, kRowFactor };

void forward(Call& call);

}  // namespace hint::pack_weight
