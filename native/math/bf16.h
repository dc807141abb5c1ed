#pragma once

#include <cstdint>

namespace hint {

/// f32 to bf16, to the nearest, ties to even; NaN stays NaN. Single-threaded.
void toBf16(const float* x, uint16_t* y, int64_t count);
/// The same but for values below the smallest normal one, which become 0 where the processor has an instruction for it:
/// products take them for 0 anyway.
void roundToBf16(const float* x, uint16_t* y, int64_t count);
void fromBf16(const uint16_t* x, float* y, int64_t count);

}  // namespace hint
