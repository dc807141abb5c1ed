#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

/// Branch-free float functions that compilers vectorise, accurate to about 2e-7 relative; libm's calls would keep the
/// surrounding loops scalar.
namespace hint {

inline float fastExp(float x) {
  x = x < -87.3f ? -87.3f : x > 88.0f ? 88.0f : x;
  const float scaled = x * 1.44269504088896341f;
  // Adding 1.5 * 2^23 rounds to the nearest integer without a conversion instruction.
  const float shifted = scaled + 12582912.0f;
  int32_t bits;
  std::memcpy(&bits, &shifted, 4);
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float value = p * r * r + r + 1.0f;
  const int32_t exponent = (bits + 127) << 23;
  float power;
  std::memcpy(&power, &exponent, 4);
  return value * power;
}

/// tanh through exp(-2|x|), with a polynomial near zero where the difference would cancel.
inline float fastTanh(float x) {
  const float a = std::fabs(x);
  const float e = fastExp(-2.0f * a);
  const float large = (1.0f - e) / (1.0f + e);
  const float s = x * x;
  float p = -5.70498872745e-3f;
  p = p * s + 2.06390887954e-2f;
  p = p * s - 5.37397155531e-2f;
  p = p * s + 1.33314422036e-1f;
  p = p * s - 3.33332819422e-1f;
  const float small = p * s * a + a;
  return std::copysign(a < 0.625f ? small : large, x);
}

/// Polynomials fitted to erf(x) / x and to log(erfc(|x|)), the one where |x| < 0.9375, the other beyond; within 1.4e-7.
inline float fastErf(float x) {
  const float s = x * x;
  float p = -5.943142459727824e-4f;
  p = p * s + 4.984378814697266e-3f;
  p = p * s - 2.676110714673996e-2f;
  p = p * s + 1.1281681805849075e-1f;
  p = p * s - 3.761248290538788e-1f;
  p = p * s + 1.1283791065216064f;
  // Beyond 4, 1 - erf(x) is below what f32 can tell from 1. NaN stays.
  const float a = std::fabs(x) > 4.0f ? 4.0f : std::fabs(x);
  float q = -2.8548109298753843e-7f;
  q = q * a - 1.7620686776353978e-5f;
  q = q * a + 4.165293066762388e-4f;
  q = q * a - 4.119870252907276e-3f;
  q = q * a + 2.5031227618455887e-2f;
  q = q * a - 1.0818648338317871e-1f;
  q = q * a - 6.334063410758972e-1f;
  q = q * a - 1.1294944286346436f;
  q = q * a + 1.717954728519544e-4f;
  return a < 0.9375f ? p * x : std::copysign(1.0f - fastExp(q), x);
}

constexpr float kGeluRoot = 0.7978845608028654f;  // sqrt(2 / pi)
constexpr float kGeluCubic = 0.044715f;

/// (1 + tanh(u)) / 2 = 1 / (1 + exp(-2u)) of the tanh approximation of GELU. This form needs no second polynomial.
inline float geluGate(float x) { return 1.0f / (1.0f + fastExp(-2.0f * kGeluRoot * (x + kGeluCubic * x * x * x))); }

/// The tanh approximation of GELU, which T5 v1.1 and HINT use.
inline float gelu(float x) { return x * geluGate(x); }

/// Its derivative, from geluGate(x).
inline float geluSlope(float x, float gate) {
  return gate + 2.0f * x * gate * (1.0f - gate) * kGeluRoot * (1.0f + 3.0f * kGeluCubic * x * x);
}

inline float geluDerivative(float x) { return geluSlope(x, geluGate(x)); }

/// The exact GELU: x times the probability that a standard normal variable is below x.
inline float geluErf(float x) { return 0.5f * x * (1.0f + fastErf(x * 0.70710678118654752f)); }

inline float geluErfDerivative(float x) {
  return 0.5f * (1.0f + fastErf(x * 0.70710678118654752f)) + x * fastExp(-0.5f * x * x) * 0.3989422804014327f;
}

inline float silu(float x) { return x / (1.0f + fastExp(-x)); }

inline float siluDerivative(float x) {
  const float s = 1.0f / (1.0f + fastExp(-x));
  return s * (1.0f + x * (1.0f - s));
}

}  // namespace hint
