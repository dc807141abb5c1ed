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

constexpr float kGeluRoot = 0.7978845608028654f;  // sqrt(2 / pi)
constexpr float kGeluCubic = 0.044715f;

/// The tanh approximation of GELU, the only one in T5 v1.1 and HINT.
inline float gelu(float x) { return 0.5f * x * (1.0f + fastTanh(kGeluRoot * (x + kGeluCubic * x * x * x))); }

inline float geluDerivative(float x) {
  const float t = fastTanh(kGeluRoot * (x + kGeluCubic * x * x * x));
  return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * kGeluRoot * (1.0f + 3.0f * kGeluCubic * x * x);
}

}  // namespace hint
