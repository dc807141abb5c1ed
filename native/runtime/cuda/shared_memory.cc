#include "native/runtime/cuda/shared_memory.h"

#include <map>
#include <mutex>
#include <utility>

#include "native/runtime/cuda/context.h"

namespace hint::cuda {

int64_t mostSharedMemory(const void* kernel) {
  // The mutex is never destroyed, because threads may still use it while the process ends.
  static auto& mutex = *new std::mutex;
  static auto& reserved = *new std::map<std::pair<int, const void*>, int>;
  const Context& context = Context::current();
  const std::pair key(context.device(), kernel);
  const std::lock_guard lock(mutex);
  if (const auto found = reserved.find(key); found != reserved.end()) return found->second;
  cudaFuncAttributes attributes;
  check(cudaFuncGetAttributes(&attributes, kernel), "read a kernel's attributes");
  const int most = context.sharedMemoryPerBlock() - static_cast<int>(attributes.sharedSizeBytes);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most), "reserve shared memory");
  return reserved[key] = most;
}

size_t sharedMemory(const void* kernel, int64_t bytes, const char* remedy) {
  const int64_t most = mostSharedMemory(kernel);
  if (bytes > most)
    fail("NOT_SUPPORTED", "A block of the kernel needs ", bytes, " bytes of shared memory, and the device has ", most,
         " for it; ", remedy, ".");
  return static_cast<size_t>(bytes);
}

}  // namespace hint::cuda
