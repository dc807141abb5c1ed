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

/// Source of raw memory of one device.
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  /// Returns `bytes` bytes, or nullptr when the source has no more.
  virtual void* take(size_t bytes) = 0;
  virtual void give(void* pointer) = 0;
  /// Bytes that the source could still give, for messages; 0 when it does not know.
  virtual size_t available() const { return 0; }
  /// Whether the memory is host memory, which AddressSanitizer watches.
  virtual bool isHost() const { return false; }
  /// Whether take and give wait for a device, so that memory should be taken in large pieces.
  virtual bool isSlow() const { return false; }
};

struct AllocatorStats {
  size_t inUse = 0;          ///< bytes handed out, rounded to size classes
  size_t cached = 0;         ///< bytes kept for reuse
  size_t peakInUse = 0;      ///< largest inUse since the last resetPeak
  size_t borrowed = 0;       ///< bytes in use that belong to somebody else, such as a mapped file
  uint64_t sourceCalls = 0;  ///< calls of MemorySource::take that gave memory
};

/// Caching allocator: freed blocks are kept by size class (at most 12.5 % rounding waste above 4 KiB) and reused.
/// Memory of a slow source is cut from segments instead. When the source is exhausted, the allocator gives free memory
/// back and asks again; it gives back no more than is needed at first, and everything before it throws OUT_OF_MEMORY.
/// Thread-safe.
class Allocator final : public Memory {
 public:
  /// `limit` bounds the bytes in use and cached together; 0 means no limit.
  explicit Allocator(std::unique_ptr<MemorySource> source, size_t limit = 0);
  ~Allocator() override;

  void* acquire(size_t bytes) override;
  void release(void* pointer, size_t bytes) override;
  void borrow(size_t bytes) override;
  void giveBack(size_t bytes) override;
  /// Returns all free memory to the source: cached blocks, and segments in which nothing is in use.
  void trim();
  /// Ends reuse: free memory goes back to the source now, and all other memory as soon as it is released. For a device
  /// that is closed while tensors of it are still referenced.
  void close();
  void resetPeak();
  AllocatorStats stats() const;

 private:
  /// A free block for `bytes` and its size; null when there is none.
  std::pair<void*, size_t> reuse(size_t bytes);
  std::pair<void*, size_t> take(size_t bytes);
  /// Returns about `bytes` bytes of free memory to the source, the largest blocks first.
  void trimLocked(size_t bytes);
  size_t held() const { return stats_.inUse + stats_.cached; }

  mutable std::mutex mutex_;
  std::unique_ptr<MemorySource> source_;
  size_t limit_;
  bool closed_ = false;
  std::map<size_t, std::vector<void*>> cache_;
  std::unique_ptr<Segments> segments_;  ///< null when the source is not slow: each block is then taken by itself
  AllocatorStats stats_;
};

/// Host memory, 64-byte aligned for full-width vector loads.
std::unique_ptr<MemorySource> hostMemory();

}  // namespace hint
