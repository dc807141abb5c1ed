#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

/// The device that the emulator stands for, by HINT_EMULATOR_DEVICE: h200, a100, or a small one; HINT_EMULATOR_SMS sets
/// its multiprocessors. Its memory is an arena, so that an address says at once whether it is the device's.
namespace hint::emulator {

struct Device {
  const char* name;
  int major, minor, multiprocessors;
  size_t sharedBytes;  ///< of a block whose kernel has the attribute for it; without it, kSharedBytes
};
constexpr size_t kSharedBytes = size_t{48} << 10;
constexpr size_t kMemory = size_t{4} << 30;

const Device& device();

/// A number from the environment.
int64_t setting(const char* name, int64_t otherwise);

/// Whether it can be launched: what the driver checks of grid, block and dynamic shared memory.
cudaError_t launchable(const void* kernel, dim3 grid, dim3 threads, size_t sharedBytes);
/// Bytes of dynamic shared memory that cudaFuncSetAttribute allowed the kernel.
cudaError_t allowShared(const void* kernel, int bytes);
/// Bytes of shared memory that the kernel may have in all.
size_t mostShared(const void* kernel);

/// Where device and pinned memory lie.
struct Allocation {
  const char* begin = nullptr;
  size_t bytes = 0;
  bool isPinned = false;
};
/// All ones, up to a page that cannot be accessed; null when there is no more.
void* take(size_t bytes, bool isPinned);
/// From now on every access ends the process. False when nothing begins there.
bool give(void* pointer);
/// What holds the address; its bytes are 0 when nothing does.
Allocation allocationOf(const void* address);
bool isInArena(const void* address);
/// Place in the arena.
size_t arenaOffset(const void* address);
constexpr size_t kArena = size_t{32} << 30;
size_t memoryInUse();

/// Allocations, streams, events and graphs that somebody still has to give back.
void count(int change);
int64_t liveObjects();

/// Counts a kernel, cleared memory or a copy inside the device that is asked for.
void countLaunch();

}  // namespace hint::emulator
