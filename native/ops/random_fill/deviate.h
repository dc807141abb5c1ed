#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "native/core/philox.h"

/// Conversion of a random word to a deviate, with the same result on every back end.
namespace hint::random_fill {

/// The share of a standard normal within two deviations: erf(sqrt 2).
constexpr double kWithinTwo = 0.95449973610364158560;

/// 24 bits of a word as an odd multiple of 2^-24 in (-1, 1): exact in a float, symmetric, never -1, 0 or 1.
HINT_HOST_DEVICE inline float symmetricUniform(uint32_t word) {
  return (static_cast<float>(static_cast<int32_t>(word) >> 8) + 0.5f) * 0x1p-23f;
}

/// Natural logarithm of a positive normal number.
HINT_HOST_DEVICE inline float logarithm(float x) {
  int32_t bits;
  std::memcpy(&bits, &x, 4);
  // The mantissa in [sqrt(1/2), sqrt(2)), so that the series runs around one.
  const int32_t shifted = bits - 0x3f3504f3;
  const int32_t exponent = shifted >> 23;
  const int32_t mantissaBits = (shifted & 0x007fffff) + 0x3f3504f3;
  float mantissa;
  std::memcpy(&mantissa, &mantissaBits, 4);
  // log m = 2 artanh((m - 1) / (m + 1)).
  const float t = (mantissa - 1.0f) / (mantissa + 1.0f), s = t * t;
  const float series = 2.0f + s * (0.66666666f + s * (0.4f + s * (0.28571429f + s * 0.22222222f)));
  return static_cast<float>(exponent) * 0.69314718f + t * series;
}

/// The inverse error function times sqrt 2, that is, the standard normal deviate whose cumulative share is (1 + x) / 2.
/// Approximation in w = -log(1 - x^2) after Giles (2010), both of whose branches are computed so that lanes stay equal.
HINT_HOST_DEVICE inline float normalDeviate(float x) {
  const float w = -logarithm((1.0f - x) * (1.0f + x));
  const float a = w - 2.5f;
  float p = 2.81022636e-08f;
  p = p * a + 3.43273939e-07f;
  p = p * a - 3.5233877e-06f;
  p = p * a - 4.39150654e-06f;
  p = p * a + 0.00021858087f;
  p = p * a - 0.00125372503f;
  p = p * a - 0.00417768164f;
  p = p * a + 0.246640727f;
  p = p * a + 1.50140941f;
  const float b = std::sqrt(w) - 3.0f;
  float q = -0.000200214257f;
  q = q * b + 0.000100950558f;
  q = q * b + 0.00134934322f;
  q = q * b - 0.00367342844f;
  q = q * b + 0.00573950773f;
  q = q * b - 0.0076224613f;
  q = q * b + 0.00943887047f;
  q = q * b + 1.00167406f;
  q = q * b + 2.83297682f;
  return (w < 5.0f ? p : q) * x * 1.41421356f;
}

}  // namespace hint::random_fill
