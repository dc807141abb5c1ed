#pragma once

#include <cstdint>

#include "native/runtime/parallel.h"

#if defined(__GNUC__) && !defined(__clang__)
// Only functions that are always inlined pass vectors, so that the ABI of vector arguments does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

namespace hint {

/// Sixteen values of 32 bits; the compiler splits them where registers are narrower.
typedef uint32_t Bits __attribute__((vector_size(64)));

/// The exchanges of a tile's transposition: single values, pairs or quarters of two vectors, in order.
HINT_INLINE Bits lowValues(const Bits& a, const Bits& b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
}
HINT_INLINE Bits highValues(const Bits& a, const Bits& b) {
  return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}
HINT_INLINE Bits lowPairs(const Bits& a, const Bits& b) {
  return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
}
HINT_INLINE Bits highPairs(const Bits& a, const Bits& b) {
  return __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}
HINT_INLINE Bits lowQuarters(const Bits& a, const Bits& b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
}
HINT_INLINE Bits highQuarters(const Bits& a, const Bits& b) {
  return __builtin_shufflevector(a, b, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
}
HINT_INLINE Bits lowHalves(const Bits& a, const Bits& b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
}
HINT_INLINE Bits highHalves(const Bits& a, const Bits& b) {
  return __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}

/// Transposes a tile of sixteen by sixteen values.
HINT_INLINE void transpose(Bits (&tile)[16]) {
  Bits fours[16];  // of row 4 i + c: in quarter q the values of rows 4 i … 4 i + 3 in column 4 q + c
#pragma GCC unroll 4
  for (int64_t i = 0; i < 16; i += 4) {
    const Bits a = lowValues(tile[i], tile[i + 1]), b = highValues(tile[i], tile[i + 1]);
    const Bits c = lowValues(tile[i + 2], tile[i + 3]), d = highValues(tile[i + 2], tile[i + 3]);
    fours[i] = lowPairs(a, c);
    fours[i + 1] = highPairs(a, c);
    fours[i + 2] = lowPairs(b, d);
    fours[i + 3] = highPairs(b, d);
  }
#pragma GCC unroll 4
  for (int64_t c = 0; c < 4; ++c) {
    const Bits a = lowQuarters(fours[c], fours[c + 4]), b = highQuarters(fours[c], fours[c + 4]);
    const Bits d = lowQuarters(fours[c + 8], fours[c + 12]), e = highQuarters(fours[c + 8], fours[c + 12]);
    tile[c] = lowHalves(a, d);
    tile[c + 4] = highHalves(a, d);
    tile[c + 8] = lowHalves(b, e);
    tile[c + 12] = highHalves(b, e);
  }
}

}  // namespace hint
