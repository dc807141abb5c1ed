#pragma once

#include "native/core/call.h"

/// What contracts of ops count GpuWork with.
namespace hint {

inline bool wantsGradient(const Call& call, int input) {
  return static_cast<bool>(call.gradInputs[static_cast<size_t>(input)]);
}

/// Clearing a gradient that is to be overwritten before something is added to it, where it is wanted.
inline GpuWork clearing(const Call& call, int input) {
  if (!wantsGradient(call, input) || call.beta(input) != 0.0f) return {0, 0};
  const auto bytes = static_cast<double>(call.gradInputs[static_cast<size_t>(input)].bytes());
  return {bytes > 0 ? 1.0 : 0.0, bytes};
}

inline GpuWork operator+(const GpuWork& a, const GpuWork& b) {
  return {a.launches + b.launches, a.passBytes + b.passBytes};
}

/// Bytes of `elements` values.
inline double bytesOf(double elements, DType dtype) { return elements * static_cast<double>(sizeOf(dtype)); }

}  // namespace hint
