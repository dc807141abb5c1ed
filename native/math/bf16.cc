#include "native/math/bf16.h"

#include <cstring>

#include "native/runtime/parallel.h"

namespace hint {

HINT_CLONES void toBf16(const float* x, uint16_t* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, x + i, sizeof(bits));
    // Adding half a unit of the last kept place, less one when that place is even, rounds ties to even.
    const uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
    const uint32_t quietNaN = (bits >> 16) | 0x40u;
    y[i] = static_cast<uint16_t>((bits & 0x7FFFFFFFu) > 0x7F800000u ? quietNaN : rounded);
  }
}

HINT_CLONES void fromBf16(const uint16_t* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = static_cast<uint32_t>(x[i]) << 16;
    std::memcpy(y + i, &bits, sizeof(bits));
  }
}

}  // namespace hint
