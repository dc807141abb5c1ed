#include "native/runtime/nvml.h"

#include <dlfcn.h>

#include <type_traits>

#include "native/runtime/open_library.h"

namespace hint {
namespace {

using Device = struct NvmlDevice*;

/// The functions of nvml.h that are called; all return 0 when they have done their work.
struct Functions {
  int (*init)() = nullptr;
  const char* (*text)(int) = nullptr;
  int (*byPci)(const char*, Device*) = nullptr;
  int (*energy)(Device, unsigned long long*) = nullptr;
};

struct Library {
  Functions functions;
  std::string reason;  ///< empty: it can be used
};

Library open() {
  Library library;
  void* handle = openFirstLibrary("HINT_NVML", "libnvidia-ml.so.1");
  if (!handle) {
    library.reason =
        "libnvidia-ml.so.1, which NVIDIA's driver brings, was not found; install it (nvidia-utils or "
        "libnvidia-ml1), or set HINT_NVML to its path";
    return library;
  }
  Functions& functions = library.functions;
  std::string missing;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
    if (!function && missing.empty()) missing = name;
  };
  find(functions.init, "nvmlInit_v2");
  find(functions.text, "nvmlErrorString");
  find(functions.byPci, "nvmlDeviceGetHandleByPciBusId_v2");
  find(functions.energy, "nvmlDeviceGetTotalEnergyConsumption");
  if (!missing.empty())
    library.reason = "the NVML found has no " + missing + "; install a driver of 2018 or later (R410)";
  else if (const int result = functions.init())
    library.reason = "NVML does not start (" + std::string(functions.text(result)) + "); see \"nvidia-smi\"";
  return library;
}

const Library& library() {
  // Never destroyed: threads may still run while the process ends.
  static const auto& opened = *new Library(open());
  return opened;
}

}  // namespace

GpuEnergy gpuEnergy(const std::string& pci) {
  const auto& [functions, reason] = library();
  if (!reason.empty()) return {0, reason};
  Device device = nullptr;
  unsigned long long millijoules = 0;
  int result = functions.byPci(pci.c_str(), &device);
  if (result == 0) result = functions.energy(device, &millijoules);
  if (result != 0)
    return {0, "NVML says of the GPU " + pci + ": " + functions.text(result) +
                   "; GPUs count their energy from Volta on, where the driver lets processes read it"};
  return {static_cast<double>(millijoules) / 1000, ""};
}

}  // namespace hint
