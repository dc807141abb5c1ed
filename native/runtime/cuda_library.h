#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "native/runtime/backend.h"

/// The CUDA back end is a shared library of its own, loaded at run time, so that one build serves machines with and
/// without a GPU.
namespace hint {

struct CudaDevice {
  int ordinal;  ///< CUDA's number of it: GPUs that cannot be used are counted there
  std::string name;
  int major, minor;  ///< compute capability
  size_t memory;     ///< bytes
};

/// What a machine can do with CUDA. `reason` is a sentence that says why there are no devices, or why a GPU is not
/// among them, and what to do about it.
struct CudaStatus {
  std::vector<CudaDevice> devices;
  std::string reason;
  std::string gemmLibrary;      ///< "cuBLASLt 13.1.0", or why it is not used
  int runtime = 0, driver = 0;  ///< 13000 is 13.0
};

/// Loads the library when that was not done yet, `hint_cuda.so` in `folder` or in that of the environment variable
/// HINT_CUDA_FOLDER, and says what it found. Never throws.
CudaStatus cudaStatus(const std::string& folder);

/// The backend of one GPU. Throws NOT_SUPPORTED with the reason when CUDA cannot be used, INVALID_ARGUMENT when there
/// is no such device.
std::unique_ptr<Backend> cudaBackend(const std::string& folder, int device);

/// What the library exports, found by the name "hint_cuda_library".
struct CudaLibrary {
  /// Changes with every change of the classes that cross the border between the two libraries.
  int abi;
  CudaStatus (*status)();
  std::unique_ptr<Backend> (*open)(int ordinal);
  /// Kernels of the op of that name; both null when it has none.
  Kernels (*kernels)(std::string_view op);
};
constexpr int kCudaAbi = 4;

}  // namespace hint
