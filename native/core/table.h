#pragma once

#include <string_view>
#include <vector>

#include "native/core/op_spec.h"

namespace hint {

/// The op table: one row per op, in native/core/table.def.
const std::vector<OpSpec>& opTable();
/// Throws INVALID_ARGUMENT when there is no such op.
const OpSpec& findOp(std::string_view name);
/// Gives every op its CUDA kernels, as `lookup` has them by the name of the op. Call before any CUDA stream exists.
/// Throws INTERNAL, naming the op, and leaves the table as it was, when an op that table.def gives CUDA kernels has no
/// forward one, or no backward one though its gradient is known on the CPU.
void installCudaKernels(Kernels (*lookup)(std::string_view op));

}  // namespace hint
