#pragma once

#include <cstdint>

namespace hint {

/// f32 to bf16, to the nearest, ties to even; NaN stays NaN. Single-threaded.
void toBf16(const float* x, uint16_t* y, int64_t count);
void fromBf16(const uint16_t* x, float* y, int64_t count);

}  // namespace hint
