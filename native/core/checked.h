#pragma once

#include <cstddef>
#include <cstdint>

/// Arithmetic on sizes that come from outside. A result beyond 64 bits is an error; it never wraps to a small number.
namespace hint {

/// Throws INVALID_SHAPE naming both factors.
[[noreturn]] void failProduct(int64_t a, int64_t b);

/// a * b. Throws INVALID_SHAPE when it does not fit.
inline int64_t checkedProduct(int64_t a, int64_t b) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product)) failProduct(a, b);
  return product;
}

/// The bytes of `count` elements of `size` bytes each. Throws INVALID_SHAPE when the product exceeds 64 bits or `count`
/// is negative.
inline size_t checkedBytes(int64_t count, size_t size) {
  if (count < 0) failProduct(count, static_cast<int64_t>(size));
  return static_cast<size_t>(checkedProduct(count, static_cast<int64_t>(size)));
}

/// `bytes` rounded up to a multiple of `step`. Where that exceeds size_t, the largest multiple that fits: no allocation
/// of it can succeed.
inline size_t roundedUp(size_t bytes, size_t step) {
  return bytes > SIZE_MAX - step ? SIZE_MAX / step * step : (bytes + step - 1) / step * step;
}

}  // namespace hint
