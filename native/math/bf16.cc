#include "native/math/bf16.h"

#include <cstring>

#include "native/math/instructions.h"
#include "native/runtime/parallel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

#if defined(__x86_64__)
namespace {

#define HINT_HALVES __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

HINT_HALVES HINT_INLINE __m256i halvesOf(__m512 values) {
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(values));
}

HINT_HALVES void roundByInstruction(const float* x, uint16_t* y, int64_t count) {
  constexpr int64_t kLanes = 16;
  for (; count >= kLanes; count -= kLanes, x += kLanes, y += kLanes)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), halvesOf(_mm512_loadu_ps(x)));
  const auto rest = static_cast<__mmask16>((1u << count) - 1u);
  _mm256_mask_storeu_epi16(y, rest, halvesOf(_mm512_maskz_loadu_ps(rest, x)));
}

}  // namespace

void roundToBf16(const float* x, uint16_t* y, int64_t count) {
  if (supports(Instructions::avx512Bf16))
    roundByInstruction(x, y, count);
  else
    toBf16(x, y, count);
}
#else
void roundToBf16(const float* x, uint16_t* y, int64_t count) { toBf16(x, y, count); }
#endif

HINT_CLONES void fromBf16(const uint16_t* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = static_cast<uint32_t>(x[i]) << 16;
    std::memcpy(y + i, &bits, sizeof(bits));
  }
}

}  // namespace hint
