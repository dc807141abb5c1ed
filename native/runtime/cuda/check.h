#pragma once

#include <cuda_runtime.h>

#include "native/core/error.h"

namespace hint::cuda {

/// Whether CUDA can do nothing more in this process after that error, by its documentation.
bool isFatal(cudaError_t code);

/// What to tell when a device can no longer be used.
Error lostDevice(cudaError_t code);

/// Throws the error of a call of the CUDA runtime that failed: DEVICE_LOST after one that is fatal, which any call may
/// return for an earlier one, OUT_OF_MEMORY for that one, otherwise INTERNAL.
[[noreturn]] void failCall(cudaError_t code, const char* what);

inline void check(cudaError_t code, const char* what) {
  if (code != cudaSuccess) failCall(code, what);
}

/// Throws when the launch in front of it was refused.
inline void launched() { check(cudaGetLastError(), "launch a kernel"); }

}  // namespace hint::cuda
