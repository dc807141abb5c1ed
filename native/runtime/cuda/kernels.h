#pragma once

#include <string_view>

#include "native/core/op_spec.h"

namespace hint::cuda {

/// The CUDA kernels of an op; both null when its row in table.def says that it has none.
Kernels kernelsOf(std::string_view op);

}  // namespace hint::cuda
