#pragma once

#include <cstdint>

#include "native/core/tensor.h"

namespace hint {

/// Index of the first f32 or bf16 value that is infinite or NaN; -1 when there is none. Uses several threads.
int64_t firstNonFinite(DType dtype, const void* values, int64_t count);

/// The same for a tensor; -1 for integer dtypes.
int64_t firstNonFinite(const Tensor& tensor);

}  // namespace hint
