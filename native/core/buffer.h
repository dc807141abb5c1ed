#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "native/core/deferred_check.h"
#include "native/core/error.h"

namespace hint {

/// Source of the memory of buffers: an allocator of the runtime. Implementations are thread-safe.
class Memory {
 public:
  virtual ~Memory() = default;
  /// Returns `bytes` bytes. Throws OUT_OF_MEMORY naming the bytes asked for, held and cached; a later call can succeed.
  virtual void* acquire(size_t bytes) = 0;
  virtual void release(void* pointer, size_t bytes) = 0;
  /// Counts bytes that a buffer uses but that somebody else allocated; giveBack() ends the count.
  virtual void borrow(size_t bytes) = 0;
  virtual void giveBack(size_t bytes) = 0;
};

/// Owner of host bytes that a buffer can use as its first values.
class Lender {
 public:
  virtual ~Lender() = default;
  /// The error when bytes that were read so far may have changed since they were lent; null when they are intact.
  virtual std::shared_ptr<const Error> failure() const = 0;
};

/// Result of the command that writes some values.
struct Outcome {
  /// Set when the command failed. Commands that read the values are then skipped, and reading them rejects with this
  /// error, so that a failure reaches exactly what depends on it.
  std::shared_ptr<const Error> failure;
  /// Checks of the commands that computed the values; the device may not have made all of them yet.
  Checks checks;

  /// `failure`, or the first error that a finished check found; null when nothing has failed so far.
  std::shared_ptr<const Error> knownFailure() const {
    if (failure) return failure;
    for (const CheckedCommands& check : checks)
      if (auto error = check.error()) return error;
    return nullptr;
  }
};

/// The smallest and the largest of some integers.
struct IntegerRange {
  int32_t least, most;
};

/// Memory that exists from its first use on the stream until its last reference is dropped. Because commands hold
/// references and memory is taken only when a command runs, the order of taking and freeing is the order of the
/// stream, however far ahead the enqueuing thread is.
class Buffer : public Outcome {
 public:
  Buffer(std::shared_ptr<Memory> memory, size_t bytes) : memory_(std::move(memory)), bytes_(bytes) {}
  /// A buffer whose first values are host bytes of `lender`. They are read in place, and copied before the first write.
  Buffer(std::shared_ptr<Memory> memory, std::shared_ptr<const Lender> lender, const void* data, size_t bytes)
      : memory_(std::move(memory)), bytes_(bytes), lender_(std::move(lender)), data_(const_cast<void*>(data)) {
    memory_->borrow(bytes_);
  }
  ~Buffer() {
    if (lender_)
      memory_->giveBack(bytes_);
    else if (data_)
      memory_->release(data_, bytes_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  /// Makes the buffer writable: takes memory if it has none of its own yet, and copies lent bytes into it. Call on the
  /// stream's thread, or before the buffer is shared. Throws OUT_OF_MEMORY, and the lender's failure.
  void* ensure() {
    if ((data_ && !lender_) || bytes_ == 0) return data_;
    void* own = memory_->acquire(bytes_);
    if (lender_) {
      std::memcpy(own, data_, bytes_);
      if (const auto failed = lender_->failure()) {
        memory_->release(own, bytes_);
        throw Error(*failed);
      }
      memory_->giveBack(bytes_);
      lender_.reset();
    }
    return data_ = own;
  }
  /// Whether the buffer has bytes and nothing has been written to it. Call on the stream's thread.
  bool isUnwritten() const { return !data_ && bytes_ > 0; }
  /// Releases the memory after the command that should have filled it failed: nothing reads it any more.
  void drop() {
    if (data_ && !lender_) memory_->release(std::exchange(data_, nullptr), bytes_);
  }
  /// Whether the buffer takes its memory from `memory`, and thus belongs to the same device.
  bool isOf(const Memory& memory) const { return memory_.get() == &memory; }
  /// Whether the buffer still uses the lender's bytes. Call on the stream's thread.
  bool isBorrowed() const { return lender_ != nullptr; }
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  /// The range of the i32 values, known as long as the host wrote all of them and no command has written since.
  const std::optional<IntegerRange>& integers() const { return integers_; }
  /// Every write to the buffer must call this, with nullopt where the range is not known.
  void setIntegers(const std::optional<IntegerRange>& range) { integers_ = range; }

  /// The first error that is known by now, of the lender or of the commands; null when nothing has failed so far.
  std::shared_ptr<const Error> knownFailure() const {
    if (lender_ && !failure)
      if (auto error = lender_->failure()) return error;
    return Outcome::knownFailure();
  }

 private:
  std::shared_ptr<Memory> memory_;
  size_t bytes_;
  std::shared_ptr<const Lender> lender_;
  void* data_ = nullptr;
  std::optional<IntegerRange> integers_;
};

}  // namespace hint
