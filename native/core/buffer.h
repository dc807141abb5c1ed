#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "native/core/deferred_check.h"
#include "native/core/error.h"

namespace hint {

/// Where buffers take their memory from and give it back to: an allocator of the runtime.
class Memory {
 public:
  virtual ~Memory() = default;
  /// Throws OUT_OF_MEMORY naming the bytes asked, held and cached; can be asked again afterwards.
  virtual void* acquire(size_t bytes) = 0;
  virtual void release(void* pointer, size_t bytes) = 0;
  /// Counts bytes that a buffer uses without taking memory for them.
  virtual void borrow(size_t bytes) = 0;
  virtual void giveBack(size_t bytes) = 0;
};

/// Whose bytes a buffer may begin with.
class Lender {
 public:
  virtual ~Lender() = default;
  /// Why bytes that were read up to now may not be what was lent; null when they are.
  virtual std::shared_ptr<const Error> failure() const = 0;
};

/// How the command went that was to write some values.
struct Outcome {
  /// Set when the command failed; commands that read the values are skipped and reading them rejects with this error,
  /// so a failure reaches exactly those who depend on it.
  std::shared_ptr<const Error> failure;
  /// What the device has yet to say, or has said, about the commands that the values come from.
  Checks checks;

  /// `failure`, or what a check has found by now; null when all is well so far.
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
  /// Host bytes that `lender` holds, as values to begin with: read where they lie, copied before they are first
  /// written.
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

  /// Makes the buffer ready to be written: takes memory if it has none of its own yet. Called on the stream's thread,
  /// or before the buffer is shared. Throws OUT_OF_MEMORY, and the lender's failure.
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
  /// Whether nobody wrote to it, though there is something to write. Asked on the stream's thread.
  bool isUnwritten() const { return !data_ && bytes_ > 0; }
  /// Gives back memory that nobody reads because the command that was to fill it failed.
  void drop() {
    if (data_ && !lender_) memory_->release(std::exchange(data_, nullptr), bytes_);
  }
  /// Whether it belongs to the device whose memory this is.
  bool isOf(const Memory& memory) const { return memory_.get() == &memory; }
  /// Whether the bytes are still the lender's. Asked on the stream's thread.
  bool isBorrowed() const { return lender_ != nullptr; }
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  /// What the integers in it are known to be between, because the host wrote all of them and no command did since.
  const std::optional<IntegerRange>& integers() const { return integers_; }
  /// Whoever writes to the buffer says what is known then.
  void setIntegers(const std::optional<IntegerRange>& range) { integers_ = range; }

  /// What is known of the outcome of the commands, or what the lender has found by now; null when all is well so far.
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
