#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "native/core/buffer.h"
#include "native/runtime/segments.h"

namespace hint {

/// Where raw memory of a device comes from.
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  /// Returns nullptr when there is no more.
  virtual void* take(size_t bytes) = 0;
  virtual void give(void* pointer) = 0;
  /// Bytes that the source could still give, for messages; 0 when it does not know.
  virtual size_t available() const { return 0; }
  /// Whether it is memory of this process that a sanitizer looks after.
  virtual bool isHost() const { return false; }
  /// Whether it is best taken in large pieces, because taking and giving wait for a device.
  virtual bool isSlow() const { return false; }
};

struct AllocatorStats {
  size_t inUse = 0;          ///< bytes handed out, rounded to size classes
  size_t cached = 0;         ///< bytes kept for reuse
  size_t peakInUse = 0;      ///< largest inUse since the last resetPeak
  size_t borrowed = 0;       ///< bytes that are another's, such as a file's: in use, but not taken from the source
  uint64_t sourceCalls = 0;  ///< times that the source gave memory
};

/// Caching allocator: freed blocks are kept by size class (at most 12.5 % rounding waste above 4 KiB) and reused.
/// Memory of a slow source is cut from segments instead. When the source is exhausted, what is free is given back, at
/// first no more than is needed, before giving up. Thread-safe.
class Allocator final : public Memory {
 public:
  /// `limit` bytes may be held in all (in use and cached); 0 means no limit.
  explicit Allocator(std::unique_ptr<MemorySource> source, size_t limit = 0);
  ~Allocator() override;

  void* acquire(size_t bytes) override;
  void release(void* pointer, size_t bytes) override;
  void borrow(size_t bytes) override;
  void giveBack(size_t bytes) override;
  /// Returns to the source what is free: cached blocks, and segments in which nothing is in use.
  void trim();
  void resetPeak();
  AllocatorStats stats() const;

 private:
  /// Memory and the bytes it takes; null when there is none.
  std::pair<void*, size_t> reuse(size_t bytes);
  std::pair<void*, size_t> take(size_t bytes);
  /// Gives back about so many bytes of what is free, the largest blocks first.
  void trimLocked(size_t bytes);
  size_t held() const { return stats_.inUse + stats_.cached; }

  mutable std::mutex mutex_;
  std::unique_ptr<MemorySource> source_;
  size_t limit_;
  std::map<size_t, std::vector<void*>> cache_;
  std::unique_ptr<Segments> segments_;  ///< null where blocks are taken one by one
  AllocatorStats stats_;
};

/// Host memory, 64-byte aligned for full-width vector loads.
std::unique_ptr<MemorySource> hostMemory();

}  // namespace hint
