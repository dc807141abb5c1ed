#include "native/runtime/allocator.h"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>

#include "native/core/checked.h"
#include "native/core/error.h"
#include "native/runtime/poison.h"

namespace hint {
namespace {

/// Eight classes per power of two: few distinct sizes, little waste.
size_t sizeClass(size_t bytes) {
  if (bytes <= 256) return 256;
  size_t step = 32;
  while (step < SIZE_MAX / 32 && step * 16 < bytes) step *= 2;
  return roundedUp(bytes, step);
}

class HostMemory final : public MemorySource {
 public:
  ~HostMemory() override {
#ifdef __GLIBC__
    // Freed blocks lie between those of others, in arenas of threads that are gone: what nobody uses goes back to the
    // system, or engines that are opened one after the other would each leave some of it.
    malloc_trim(0);
#endif
  }
  void* take(size_t bytes) override { return std::aligned_alloc(64, roundedUp(bytes, 64)); }
  void give(void* pointer) override { std::free(pointer); }
  bool isHost() const override { return true; }
};

}  // namespace

Allocator::Allocator(std::unique_ptr<MemorySource> source, size_t limit) : source_(std::move(source)), limit_(limit) {}

Allocator::~Allocator() { trimLocked(); }

void* Allocator::acquire(size_t bytes) {
  const size_t size = sizeClass(bytes);
  std::lock_guard lock(mutex_);
  void* pointer = nullptr;
  if (auto found = cache_.find(size); found != cache_.end() && !found->second.empty()) {
    pointer = found->second.back();
    found->second.pop_back();
    stats_.cached -= size;
  } else {
    const auto isWithin = [&](size_t held) { return !limit_ || (held <= limit_ && size <= limit_ - held); };
    if (!isWithin(stats_.inUse + stats_.cached)) trimLocked();
    if (isWithin(stats_.inUse)) pointer = source_->take(size);
    if (!pointer && stats_.cached) {
      trimLocked();
      if (isWithin(stats_.inUse)) pointer = source_->take(size);
    }
    if (!pointer)
      fail("OUT_OF_MEMORY", "Out of memory: ", size, " bytes asked, ", stats_.inUse, " bytes held by tensors",
           source_->available() ? ", " + std::to_string(source_->available()) + " bytes free" : "",
           limit_ ? ", limit " + std::to_string(limit_) + " bytes" : "",
           ". Lower the batch's token budget or turn on recompute.");
    ++stats_.sourceCalls;
  }
  stats_.inUse += size;
  stats_.peakInUse = std::max(stats_.peakInUse, stats_.inUse);
  if (source_->isHost()) {
    unpoison(pointer, size);
    poison(static_cast<char*>(pointer) + bytes, size - bytes);
  }
  return pointer;
}

void Allocator::release(void* pointer, size_t bytes) {
  const size_t size = sizeClass(bytes);
  std::lock_guard lock(mutex_);
  if (source_->isHost()) poison(pointer, size);
  cache_[size].push_back(pointer);
  stats_.inUse -= size;
  stats_.cached += size;
}

void Allocator::borrow(size_t bytes) {
  std::lock_guard lock(mutex_);
  stats_.borrowed += bytes;
}

void Allocator::giveBack(size_t bytes) {
  std::lock_guard lock(mutex_);
  stats_.borrowed -= bytes;
}

void Allocator::trim() {
  std::lock_guard lock(mutex_);
  trimLocked();
}

void Allocator::trimLocked() {
  for (auto& [size, blocks] : cache_)
    for (void* block : blocks) {
      if (source_->isHost()) unpoison(block, size);
      source_->give(block);
    }
  cache_.clear();
  stats_.cached = 0;
}

void Allocator::resetPeak() {
  std::lock_guard lock(mutex_);
  stats_.peakInUse = stats_.inUse;
}

AllocatorStats Allocator::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

std::unique_ptr<MemorySource> hostMemory() { return std::make_unique<HostMemory>(); }

}  // namespace hint
