#pragma once

#include <cstdint>
#include <cstring>

#include "native/core/philox.h"

namespace hint {

/// Rounds a float to a value that bf16 can represent. NaN, infinities and values that bf16 can represent do not change.
struct Rounding {
  enum class Kind : uint8_t { none, nearest, stochastic };
  /// Elements whose draws, of 16 bits each, come from one Philox call.
  static constexpr int kDraws = 8;

  Kind kind = Kind::none;
  uint64_t seed = 0;
  uint64_t stream = 0;  ///< the upper half of the counter: which update of which parameter

  HINT_HOST_DEVICE static HINT_ALWAYS_INLINE uint32_t bitsOf(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
  }
  /// The bits of `value` plus `addend`, cut off to those of a bf16. The bits of floats are ordered as their magnitudes,
  /// so a carry leads to the next bf16, also from one binade to the next.
  HINT_HOST_DEVICE static HINT_ALWAYS_INLINE float cut(float value, uint32_t addend) {
    const uint32_t bits = bitsOf(value);
    const uint32_t rounded = (bits + addend) & 0xFFFF0000u, quietNaN = (bits & 0xFFFF0000u) | 0x00400000u;
    const uint32_t result = (bits & 0x7FFFFFFFu) > 0x7F800000u ? quietNaN : rounded;
    float cut;
    memcpy(&cut, &result, sizeof cut);
    return cut;
  }
  /// To the nearest, ties to even.
  HINT_HOST_DEVICE static HINT_ALWAYS_INLINE float nearest(float value) {
    return cut(value, 0x7FFFu + ((bitsOf(value) >> 16) & 1u));
  }
  /// Away from zero with the probability with which `draw`, of 16 uniform bits, carries: exactly the share of the step
  /// between the two neighbours that the value lies beyond the lower one. So the expectation is the value itself.
  HINT_HOST_DEVICE static HINT_ALWAYS_INLINE float stochastic(float value, uint32_t draw) { return cut(value, draw); }

  /// The words that elements [kDraws * group, kDraws * (group + 1)) draw from.
  HINT_HOST_DEVICE Philox words(int64_t group) const { return Philox::at(seed, static_cast<uint64_t>(group), stream); }
  HINT_HOST_DEVICE static uint32_t drawOf(const Philox& words, int64_t element) {
    const uint32_t word = words.word[(element & (kDraws - 1)) >> 1];
    return element & 1 ? word >> 16 : word & 0xFFFFu;
  }
  /// `value` as element `element` of its tensor.
  HINT_HOST_DEVICE float operator()(float value, int64_t element) const {
    if (kind == Kind::none) return value;
    return kind == Kind::nearest ? nearest(value) : stochastic(value, drawOf(words(element / kDraws), element));
  }
};

}  // namespace hint
