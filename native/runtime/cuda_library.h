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
  int ordinal;  ///< CUDA's index, which also counts GPUs that cannot be used
  std::string name;
  int major, minor;  ///< compute capability
  size_t memory;     ///< bytes
  std::string pci;   ///< its address on the bus, as NVML takes it: "00000000:3b:00.0"
};

/// What CUDA finds on a machine. `reason` is a sentence that says why there are no devices, or why a GPU is not among
/// them, and what to do about it.
struct CudaStatus {
  std::vector<CudaDevice> devices;
  std::string reason;
  std::string gemmLibrary;      ///< "cuBLASLt 13.1.0", or why it is not used
  int runtime = 0, driver = 0;  ///< 13000 is 13.0
};

/// Loads the library once, `hint_cuda.so` in `folder` or in the folder that the environment variable HINT_CUDA_FOLDER
/// names, and returns what it found. Never throws.
CudaStatus cudaStatus(const std::string& folder);

/// The backend of one GPU. Throws NOT_SUPPORTED with the reason when CUDA cannot be used, INVALID_ARGUMENT when there
/// is no such device.
std::unique_ptr<Backend> cudaBackend(const std::string& folder, int device);

/// What the library exports under `name` beside `hint_cuda_library`, and CUDA's number of a device. Throws as
/// cudaBackend.
struct CudaExport {
  const void* symbol;
  int ordinal;
};
CudaExport cudaExport(const std::string& folder, const char* name, int device);

/// The functions of the library, exported under the name "hint_cuda_library".
struct CudaLibrary {
  /// Must be increased with every change of a class that both libraries use.
  int abi;
  CudaStatus (*status)();
  std::unique_ptr<Backend> (*open)(int ordinal);
  /// The CUDA kernels of the op of that name; both null when it has none.
  Kernels (*kernels)(std::string_view op);
};
constexpr int kCudaAbi = 6;

}  // namespace hint
