#pragma once

#include <cuda_runtime.h>

#include "native/core/error.h"

namespace hint::cuda {

/// Throws INTERNAL, or OUT_OF_MEMORY for that one, when a call of the CUDA runtime failed.
inline void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // errors that can be recovered from must not be reported again
  fail(code == cudaErrorMemoryAllocation ? "OUT_OF_MEMORY" : "INTERNAL", "CUDA failed to ", what, ": ",
       cudaGetErrorString(code), ".");
}

/// Throws when the launch in front of it was refused.
inline void launched() { check(cudaGetLastError(), "launch a kernel"); }

}  // namespace hint::cuda
