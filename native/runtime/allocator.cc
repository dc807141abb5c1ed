#include "native/runtime/allocator.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <tuple>
#include <unordered_map>

#include "native/core/checked.h"
#include "native/core/error.h"
#include "native/runtime/poison.h"

namespace hint {
namespace {

/// Eight size classes per power of two: few distinct sizes, and at most 12.5 % of a block unused.
size_t sizeClass(size_t bytes) {
  if (bytes <= 256) return 256;
  size_t step = 32;
  while (step < SIZE_MAX / 32 && step * 16 < bytes) step *= 2;
  return roundedUp(bytes, step);
}

/// free() keeps blocks in the arenas of threads that have ended. Without this call, engines that are opened one after
/// the other would each leave such memory behind.
void returnToSystem() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

/// Blocks from this size on are mapped by themselves in pages of this size, where Linux has them: a product's tile
/// reads and writes rows that lie kilobytes apart, each in another page of 4 KiB, and looking those up takes longer
/// than the product, on virtual machines most of all.
constexpr size_t kHugePage = size_t{2} << 20;

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr bool kMapsBlocks = true;
#else
// Sanitizers know malloc's blocks only.
constexpr bool kMapsBlocks = false;
#endif

class HostMemory final : public MemorySource {
 public:
  ~HostMemory() override { returnToSystem(); }

  void* take(size_t bytes) override {
    if (!kMapsBlocks || bytes < kHugePage || bytes > SIZE_MAX - 2 * kHugePage)
      return std::aligned_alloc(64, roundedUp(bytes, 64));
    static const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t size = roundedUp(bytes, page), mapped = size + kHugePage;
    void* whole = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (whole == MAP_FAILED) return nullptr;
    char* begin = static_cast<char*>(whole);
    char* block = reinterpret_cast<char*>(roundedUp(reinterpret_cast<uintptr_t>(begin), kHugePage));
    if (block > begin) munmap(begin, static_cast<size_t>(block - begin));
    munmap(block + size, static_cast<size_t>(begin + mapped - (block + size)));
    // Whole pages only: the rest of a block must not take a page that it does not fill.
    madvise(block, size / kHugePage * kHugePage, MADV_HUGEPAGE);
    mapped_.emplace(block, size);
    return block;
  }

  void give(void* pointer) override {
    const auto found = mapped_.find(pointer);
    if (found == mapped_.end()) return std::free(pointer);
    munmap(pointer, found->second);
    mapped_.erase(found);
  }

  bool isHost() const override { return true; }

 private:
  std::unordered_map<void*, size_t> mapped_;
};

}  // namespace

Allocator::Allocator(std::unique_ptr<MemorySource> source, size_t limit)
    : source_(std::move(source)),
      limit_(limit),
      segments_(source_->isSlow() ? std::make_unique<Segments>(*source_) : nullptr) {}

Allocator::~Allocator() { trimLocked(SIZE_MAX); }

std::pair<void*, size_t> Allocator::reuse(size_t bytes) {
  if (segments_) return segments_->place(bytes);
  const size_t size = sizeClass(bytes);
  const auto found = cache_.find(size);
  if (found == cache_.end() || found->second.empty()) return {nullptr, 0};
  void* pointer = found->second.back();
  found->second.pop_back();
  return {pointer, size};
}

std::pair<void*, size_t> Allocator::take(size_t bytes) {
  const size_t room = !limit_ ? SIZE_MAX : held() < limit_ ? limit_ - held() : 0;
  if (segments_) {
    const size_t before = segments_->held();
    if (!segments_->grow(bytes, room)) return {nullptr, 0};
    stats_.cached += segments_->held() - before;
    ++stats_.sourceCalls;
    return segments_->place(bytes);
  }
  const size_t size = sizeClass(bytes);
  void* pointer = size <= room ? source_->take(size) : nullptr;
  if (!pointer) return {nullptr, 0};
  stats_.cached += size;
  ++stats_.sourceCalls;
  return {pointer, size};
}

void* Allocator::acquire(size_t bytes) {
  std::lock_guard lock(mutex_);
  auto [pointer, size] = reuse(bytes);
  if (!pointer) std::tie(pointer, size) = take(bytes);
  // Each round gives back one more segment, or twice as many bytes of blocks: the freed places may be too small for the
  // request.
  for (size_t more = sizeClass(bytes); !pointer && stats_.cached; more = more > SIZE_MAX / 2 ? SIZE_MAX : 2 * more) {
    const size_t before = stats_.cached;
    trimLocked(segments_ ? 1 : more);
    if (stats_.cached == before) break;
    std::tie(pointer, size) = take(bytes);
  }
  if (!pointer)
    fail("OUT_OF_MEMORY", "Out of memory: ", sizeClass(bytes), " bytes asked, ", stats_.inUse, " bytes held by tensors",
         stats_.cached ? ", " + std::to_string(stats_.cached) + " bytes free between them" : "",
         source_->available() ? ", " + std::to_string(source_->available()) + " bytes free" : "",
         limit_ ? ", limit " + std::to_string(limit_) + " bytes" : "",
         ". Lower the batch's token budget or turn on recompute.");
  stats_.cached -= size;
  stats_.inUse += size;
  stats_.peakInUse = std::max(stats_.peakInUse, stats_.inUse);
  if (source_->isHost()) {
    unpoison(pointer, size);
    poison(static_cast<char*>(pointer) + bytes, size - bytes);
  }
  return pointer;
}

void Allocator::release(void* pointer, size_t bytes) {
  std::lock_guard lock(mutex_);
  size_t size = sizeClass(bytes);
  if (segments_) {
    size = segments_->release(pointer);
  } else {
    if (source_->isHost()) poison(pointer, size);
    cache_[size].push_back(pointer);
  }
  stats_.inUse -= size;
  stats_.cached += size;
  if (closed_) trimLocked(SIZE_MAX);
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
  trimLocked(SIZE_MAX);
}

void Allocator::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  trimLocked(SIZE_MAX);
  if (source_->isHost()) returnToSystem();
}

void Allocator::trimLocked(size_t bytes) {
  if (segments_) {
    const size_t before = segments_->held();
    segments_->trim(bytes);
    stats_.cached -= before - segments_->held();
    return;
  }
  size_t given = 0;
  while (!cache_.empty() && given < bytes) {
    const auto largest = std::prev(cache_.end());
    auto& [size, blocks] = *largest;
    for (; !blocks.empty() && given < bytes; blocks.pop_back()) {
      if (source_->isHost()) unpoison(blocks.back(), size);
      source_->give(blocks.back());
      given += size;
    }
    if (blocks.empty()) cache_.erase(largest);
  }
  stats_.cached -= given;
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
