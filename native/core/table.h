#pragma once

#include <string_view>
#include <vector>

#include "native/core/op_spec.h"

namespace hint {

/// The op table: one row per op, in native/core/table.def.
const std::vector<OpSpec>& opTable();
/// Throws INVALID_ARGUMENT when there is no such op.
const OpSpec& findOp(std::string_view name);
/// Sets the CUDA kernels of every op to those that `lookup` returns for its name. Call before any CUDA stream exists.
/// Throws INTERNAL naming the op, and leaves the table unchanged, when an op that is not HINT_OP_CPU_ONLY has no CUDA
/// forward kernel, or has a CPU backward kernel and no CUDA one.
void installCudaKernels(Kernels (*lookup)(std::string_view op));

}  // namespace hint
