#pragma once

#include "native/math/activation_kind.h"
#include "native/runtime/cuda/device.cuh"

namespace hint::cuda {

constexpr float kRoot = 0.7978845608028654f, kCubic = 0.044715f;  // sqrt(2 / pi); the tanh approximation of GELU

__device__ inline float gelu(float x) { return 0.5f * x * (1.0f + tanhf(kRoot * (x + kCubic * x * x * x))); }

__device__ inline float geluDerivative(float x) {
  const float t = tanhf(kRoot * (x + kCubic * x * x * x));
  return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * kRoot * (1.0f + 3.0f * kCubic * x * x);
}

constexpr float kHalfRoot = 0.70710678118654752f;  // sqrt(1 / 2)

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

__device__ inline float activate(Activation activation, float x) {
  if (activation == Activation::gelu) return gelu(x);
  if (activation == Activation::tanh) return tanhf(x);
  if (activation == Activation::geluErf) return 0.5f * x * (1.0f + erff(x * kHalfRoot));
  if (activation == Activation::silu) return x * sigmoid(x);
  // `x < 0` is false for NaN, so that NaN stays NaN.
  return activation == Activation::relu && x < 0.0f ? 0.0f : x;
}

/// The derivative of the activation at x.
__device__ inline float activationSlope(Activation activation, float x) {
  if (activation == Activation::gelu) return geluDerivative(x);
  if (activation == Activation::none) return 1.0f;
  if (activation == Activation::relu) return x > 0.0f ? 1.0f : 0.0f;
  if (activation == Activation::geluErf)
    return 0.5f * (1.0f + erff(x * kHalfRoot)) + x * expf(-0.5f * x * x) * 0.3989422804014327f;
  if (activation == Activation::silu) {
    const float s = sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
  }
  const float t = tanhf(x);
  return 1.0f - t * t;
}

}  // namespace hint::cuda
