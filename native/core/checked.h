#pragma once

#include <cstddef>
#include <cstdint>

/// Arithmetic on sizes that come from outside: what 64 bits do not hold is an error and never a small number.
namespace hint {

/// Throws INVALID_SHAPE naming both factors.
[[noreturn]] void failProduct(int64_t a, int64_t b);

/// a * b. Throws INVALID_SHAPE when it does not fit.
inline int64_t checkedProduct(int64_t a, int64_t b) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product)) failProduct(a, b);
  return product;
}

/// The bytes that `count` things of `size` bytes take. Throws INVALID_SHAPE when they cannot be counted or `count` is
/// negative.
inline size_t checkedBytes(int64_t count, size_t size) {
  if (count < 0) failProduct(count, static_cast<int64_t>(size));
  return static_cast<size_t>(checkedProduct(count, static_cast<int64_t>(size)));
}

/// `bytes` rounded up to a multiple of `step`, or the largest such multiple there is: no source has that many.
inline size_t roundedUp(size_t bytes, size_t step) {
  return bytes > SIZE_MAX - step ? SIZE_MAX / step * step : (bytes + step - 1) / step * step;
}

}  // namespace hint
