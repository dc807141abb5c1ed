#include "native/runtime/cuda_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>

#include "native/core/error.h"
#include "native/core/table.h"

namespace hint {
namespace {

/// The library of this process, or the reason why there is none. It is never unloaded, because its threads and memory
/// live as long as the process.
struct Loaded {
  void* handle = nullptr;
  const CudaLibrary* library = nullptr;
  std::string reason;

  explicit Loaded(const std::string& folder) {
    // The folder of another build of the library, such as the emulator's.
    const char* other = std::getenv("HINT_CUDA_FOLDER");
    const std::string path = (other ? std::string(other) : folder) + "/hint_cuda.so";
    handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
      const char* message = dlerror();
      const std::string text = message ? message : "unknown error";
      reason = text.find("No such file") != std::string::npos && text.find(path) != std::string::npos
                   ? "there is no CUDA library; \"npm install @hint-engine/linux-x64-cuda\" adds it, and in a clone "
                     "with nvcc "
                     "\"node scripts/build.mjs --cuda\" builds it"
                   : "the CUDA library could not be loaded: " + text;
      return;
    }
    const auto* found = static_cast<const CudaLibrary*>(dlsym(handle, "hint_cuda_library"));
    if (!found || found->abi != kCudaAbi) {
      reason = path + " belongs to another version of the engine; " + kBuildAgain;
      return;
    }
    try {
      installCudaKernels(found->kernels);
    } catch (const Error& error) {
      reason = "the CUDA library is not whole: " + std::string(error.what());
      reason.pop_back();
      return;
    }
    library = found;
  }
};

const Loaded& load(const std::string& folder) {
  // The mutex is never destroyed, because threads may still use it while the process ends.
  static auto& mutex = *new std::mutex;
  static const Loaded* loaded = nullptr;
  const std::lock_guard lock(mutex);
  if (!loaded) loaded = new Loaded(folder);
  return *loaded;
}

}  // namespace

CudaStatus cudaStatus(const std::string& folder) {
  const Loaded& loaded = load(folder);
  if (loaded.library) return loaded.library->status();
  CudaStatus status;
  status.reason = loaded.reason;
  return status;
}

namespace {

/// CUDA's number of a device.
int ordinalOf(const std::string& folder, int device) {
  const CudaStatus status = cudaStatus(folder);
  if (status.devices.empty())
    fail("NOT_SUPPORTED", "CUDA cannot be used: ", status.reason, ". Use the device \"cpu\", or see \"hint doctor\".");
  if (device < 0 || device >= static_cast<int>(status.devices.size()))
    fail("INVALID_ARGUMENT", "There is no CUDA device number ", device, "; this machine has ", status.devices.size(),
         ", counted from 0.");
  return status.devices[static_cast<size_t>(device)].ordinal;
}

}  // namespace

std::unique_ptr<Backend> cudaBackend(const std::string& folder, int device) {
  const int ordinal = ordinalOf(folder, device);
  return load(folder).library->open(ordinal);
}

CudaExport cudaExport(const std::string& folder, const char* name, int device) {
  const int ordinal = ordinalOf(folder, device);
  return {dlsym(load(folder).handle, name), ordinal};
}

}  // namespace hint
