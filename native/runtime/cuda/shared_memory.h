#pragma once

#include <cstddef>
#include <cstdint>

/// Dynamic shared memory beyond what kernels have without asking. It is reserved once per kernel and device, to the
/// most that the device gives: were it set to what each launch uses, another stream could lower it in between.
namespace hint::cuda {

/// Bytes that a block of the kernel may have on the current device.
int64_t mostSharedMemory(const void* kernel);

/// `bytes` for the launch of a kernel. Throws NOT_SUPPORTED, with `remedy` as the next step, when the device has less.
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
