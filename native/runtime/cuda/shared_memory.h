#pragma once

#include <cstddef>
#include <cstdint>

/// Dynamic shared memory above the default limit of a kernel. The limit is raised once per kernel and device, to the
/// device's maximum. If each launch set its own limit, another stream could lower it before the launch.
namespace hint::cuda {

/// The most dynamic shared memory, in bytes, that a block of the kernel can have on the current device.
int64_t mostSharedMemory(const void* kernel);

/// Raises the kernel's limit and returns `bytes`. Throws NOT_SUPPORTED, with `remedy` as the next step, when the device
/// has less.
size_t sharedMemory(const void* kernel, int64_t bytes, const char* remedy = "use a newer GPU");

template <typename... Arguments>
int64_t mostSharedMemory(void (*kernel)(Arguments...)) {
  return mostSharedMemory(reinterpret_cast<const void*>(kernel));
}
template <typename... Arguments>
size_t sharedMemory(void (*kernel)(Arguments...), int64_t bytes, const char* remedy = "use a newer GPU") {
  return sharedMemory(reinterpret_cast<const void*>(kernel), bytes, remedy);
}

}  // namespace hint::cuda
