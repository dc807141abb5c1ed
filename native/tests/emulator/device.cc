#include "native/tests/emulator/device.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

namespace hint::emulator {
namespace {

constexpr size_t kPage = 4096;

char* reserve() {
  static char* const arena = [] {
    void* memory = mmap(nullptr, kArena, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      std::perror("CUDA emulator: reserve the arena");
      std::abort();
    }
    return static_cast<char*>(memory);
  }();
  return arena;
}

std::mutex mutex;
/// Never destroyed, because other threads may still run when the process ends.
auto& held = *new std::map<const char*, Allocation>;  // by the first byte of the first page
auto& allowed = *new std::map<const void*, size_t>;   // by kernel
size_t next = 0, inUse = 0;
std::atomic<int64_t> live = 0;

}  // namespace

int64_t setting(const char* name, int64_t otherwise) {
  const char* value = std::getenv(name);
  return value && *value ? std::atoll(value) : otherwise;
}

const Device& device() {
  static const Device chosen = [] {
    const char* name = std::getenv("HINT_EMULATOR_DEVICE");
    const std::string wanted = name ? name : "";
    Device result{"CUDA emulator", 8, 0, 2, size_t{99} << 10};
    if (wanted == "h200") result = {"CUDA emulator (H200)", 9, 0, 132, size_t{227} << 10};
    if (wanted == "a100") result = {"CUDA emulator (A100)", 8, 0, 108, size_t{163} << 10};
    result.multiprocessors = static_cast<int>(setting("HINT_EMULATOR_SMS", result.multiprocessors));
    return result;
  }();
  return chosen;
}

cudaError_t launchable(const void* kernel, dim3 grid, dim3 threads, size_t sharedBytes) {
  const uint64_t count = uint64_t{threads.x} * threads.y * threads.z;
  if (count == 0 || count > 1024 || threads.z > 64) return cudaErrorInvalidConfiguration;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7FFFFFFF || grid.y > 65535 || grid.z > 65535)
    return cudaErrorInvalidConfiguration;
  const std::lock_guard lock(mutex);
  const auto found = allowed.find(kernel);
  return sharedBytes <= (found == allowed.end() ? kSharedBytes : found->second) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t allowShared(const void* kernel, int bytes) {
  if (bytes < 0 || static_cast<size_t>(bytes) > device().sharedBytes) return cudaErrorInvalidValue;
  const std::lock_guard lock(mutex);
  allowed[kernel] = static_cast<size_t>(bytes);
  return cudaSuccess;
}

size_t mostShared(const void* kernel) {
  const std::lock_guard lock(mutex);
  return allowed.count(kernel) ? device().sharedBytes : kSharedBytes;
}

void* take(size_t bytes, bool isPinned) {
  char* const arena = reserve();
  if (bytes == 0) bytes = 1;
  const size_t rounded = (bytes + 255) / 256 * 256, pages = (rounded + kPage - 1) / kPage * kPage;
  const std::lock_guard lock(mutex);
  if (pages > kMemory - inUse) return nullptr;
  // Memory is taken after the last allocation, and from the start of the arena at its end, so that freed memory stays
  // inaccessible for long.
  if (next + pages + kPage > kArena) next = 0;
  for (auto one = held.begin(); one != held.end(); ++one) {
    const size_t begin = arenaOffset(one->first), end = arenaOffset(one->second.begin) + one->second.bytes;
    if (begin < next + pages + kPage && next < end + kPage) next = end + kPage;
  }
  if (next + pages + kPage > kArena) return nullptr;
  char* const first = arena + next;
  next += pages + kPage;
  if (mprotect(first, pages, PROT_READ | PROT_WRITE) != 0) return nullptr;
  char* const begin = first + pages - rounded;
  // Kernels must not count on fresh memory being zero.
  std::memset(first, 0xFF, pages);
  held[first] = {begin, rounded, isPinned};
  inUse += pages;
  count(1);
  return begin;
}

bool give(void* pointer) {
  const std::lock_guard lock(mutex);
  const auto after = held.upper_bound(static_cast<char*>(pointer));
  if (after == held.begin()) return false;
  const auto found = std::prev(after);
  if (found->second.begin != pointer) return false;
  const auto pages = static_cast<size_t>(found->second.begin + found->second.bytes - found->first);
  char* const first = const_cast<char*>(found->first);
  madvise(first, pages, MADV_DONTNEED);
  mprotect(first, pages, PROT_NONE);
  held.erase(found);
  inUse -= pages;
  count(-1);
  return true;
}

Allocation allocationOf(const void* address) {
  const std::lock_guard lock(mutex);
  const auto after = held.upper_bound(static_cast<const char*>(address));
  if (after == held.begin()) return {};
  const Allocation& found = std::prev(after)->second;
  const auto* at = static_cast<const char*>(address);
  return at >= found.begin && at < found.begin + found.bytes ? found : Allocation{};
}

bool isInArena(const void* address) { return arenaOffset(address) < kArena; }
size_t arenaOffset(const void* address) {
  return static_cast<size_t>(reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(reserve()));
}
size_t memoryInUse() {
  const std::lock_guard lock(mutex);
  return inUse;
}

void count(int change) { live += change; }
int64_t liveObjects() { return live; }

}  // namespace hint::emulator
