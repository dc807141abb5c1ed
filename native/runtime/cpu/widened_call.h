#pragma once

#include "native/core/call.h"

/// bf16 on the CPU: its kernels are f32, and this is the one place that makes them serve bf16 tensors as well. Values
/// are rounded where they are stored and nowhere else.
namespace hint {

/// Whether a tensor of the call that has values is bf16.
bool hasBf16(const Call& call);

/// Runs an f32 kernel on f32 copies of the bf16 tensors of a call, and rounds what it wrote back into them: outputs,
/// inputs updated in place, gradients of inputs (which it adds to where their beta says so).
void runWidened(Call& call, void (*kernel)(Call&));

}  // namespace hint
