#pragma once

#include "native/core/call.h"

/// bf16 tensors for f32 kernels of the CPU, through f32 copies. Values are rounded to bf16 when they are stored, and
/// nowhere else.
namespace hint {

/// Whether any tensor of the call that has a buffer is bf16.
bool hasBf16(const Call& call);

/// Runs an f32 kernel on f32 copies of the bf16 tensors of a call, then rounds the written copies back: outputs, inputs
/// that are updated in place, and gradients of inputs, which are added to when their beta is 1.
void runWidened(Call& call, void (*kernel)(Call&));

}  // namespace hint
