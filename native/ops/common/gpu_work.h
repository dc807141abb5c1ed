#pragma once

#include <initializer_list>

#include "native/core/call.h"

/// Helpers with which ops declare their GpuWork.
namespace hint {

inline bool wantsGradient(const Call& call, int input) {
  return static_cast<bool>(call.gradInputs[static_cast<size_t>(input)]);
}

/// The work of zeroing the gradient of an input; none when it is not wanted or its beta is 1.
inline GpuWork clearing(const Call& call, int input) {
  if (!wantsGradient(call, input) || call.beta(input) != 0.0f) return {0, 0};
  const auto bytes = static_cast<double>(call.gradInputs[static_cast<size_t>(input)].bytes());
  return {bytes > 0 ? 1.0 : 0.0, bytes};
}

inline GpuWork operator+(const GpuWork& a, const GpuWork& b) {
  return {a.launches + b.launches, a.passBytes + b.passBytes};
}

/// A kernel that computes `elements` values; no kernel when there are none.
inline GpuWork computing(int64_t elements) { return {elements > 0 ? 1.0 : 0.0, 0}; }

/// A backward pass with a kernel of `elements` values for each gradient that is wanted. Without a gradient of the first
/// output, these gradients are zeroed.
inline GpuWork computingEach(const Call& call, int64_t elements, std::initializer_list<int> inputs) {
  GpuWork work{0, 0};
  for (int input : inputs) {
    if (!call.gradOutputs[0])
      work = work + clearing(call, input);
    else if (wantsGradient(call, input))
      work = work + computing(elements);
  }
  return work;
}

/// Bytes of `elements` values.
inline double bytesOf(double elements, DType dtype) { return elements * static_cast<double>(sizeOf(dtype)); }

}  // namespace hint
