#pragma once

#include "native/ops/op.h"

namespace hint::cuda {

/// The CUDA kernels of an op; both null when it has none.
Kernels kernelsOf(const char* op);

}  // namespace hint::cuda
