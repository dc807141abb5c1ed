#pragma once

#include <cstdint>

#include "native/core/tensor.h"

namespace hint {

/// Index of the first of some f32 or bf16 values that is no finite number, -1 where all are. On several threads.
int64_t firstNonFinite(DType dtype, const void* values, int64_t count);

/// The same for a tensor; -1 for dtypes that hold finite numbers only.
int64_t firstNonFinite(const Tensor& tensor);

}  // namespace hint
