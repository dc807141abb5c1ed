#pragma once

#include <cuda_runtime.h>

#include "native/core/error.h"

namespace hint::cuda {

/// Whether CUDA's documentation says that no CUDA call can succeed in this process after that error.
bool isFatal(cudaError_t code);

/// The DEVICE_LOST error for a device that can no longer be used.
Error lostDevice(cudaError_t code);

/// Throws the error of a failed CUDA call: DEVICE_LOST for a fatal error, which any call may return on behalf of an
/// earlier one; OUT_OF_MEMORY when memory was exhausted; otherwise INTERNAL.
[[noreturn]] void failCall(cudaError_t code, const char* what);

inline void check(cudaError_t code, const char* what) {
  if (code != cudaSuccess) failCall(code, what);
}

/// Throws when the last kernel launch was refused.
inline void launched() { check(cudaGetLastError(), "launch a kernel"); }

}  // namespace hint::cuda
