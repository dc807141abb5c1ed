#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

/// The device that the emulator imitates. HINT_EMULATOR_DEVICE chooses it: h200, a100, or a small one.
/// HINT_EMULATOR_SMS sets the number of multiprocessors. Its memory is one arena, so that an address alone tells
/// whether it is device memory.
namespace hint::emulator {

struct Device {
  const char* name;
  int major, minor, multiprocessors;
  size_t sharedBytes;  ///< limit of a block whose kernel has the attribute; kSharedBytes without it
};
constexpr size_t kSharedBytes = size_t{48} << 10;
constexpr size_t kMemory = size_t{4} << 30;

const Device& device();

/// The number in an environment variable; `otherwise` when it is not set.
int64_t setting(const char* name, int64_t otherwise);

/// Checks grid, block and dynamic shared memory of a launch, as the driver does.
cudaError_t launchable(const void* kernel, dim3 grid, dim3 threads, size_t sharedBytes);
/// Sets the bytes of dynamic shared memory that a kernel may have, as cudaFuncSetAttribute does.
cudaError_t allowShared(const void* kernel, int bytes);
/// Limit of a kernel's static and dynamic shared memory together, in bytes.
size_t mostShared(const void* kernel);

/// A block of device memory or pinned memory.
struct Allocation {
  const char* begin = nullptr;
  size_t bytes = 0;
  bool isPinned = false;
};
/// Takes memory whose bits are all ones, followed by a page that cannot be accessed; null when the arena is full.
void* take(size_t bytes, bool isPinned);
/// Frees memory; every later access ends the process. Returns false when no allocation begins at `pointer`.
bool give(void* pointer);
/// The allocation that contains the address; its size is 0 when there is none.
Allocation allocationOf(const void* address);
bool isInArena(const void* address);
/// Place in the arena.
size_t arenaOffset(const void* address);
constexpr size_t kArena = size_t{32} << 30;
size_t memoryInUse();

/// Number of allocations, streams, events and graphs that have not been given back.
void count(int change);
int64_t liveObjects();

/// Counts a queued kernel, memset or copy inside the device.
void countLaunch();

}  // namespace hint::emulator
