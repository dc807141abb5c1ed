#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "native/runtime/allocator.h"
#include "native/runtime/deferred_check.h"
#include "native/runtime/error.h"

namespace hint {

/// Memory that exists from its first use on the stream until its last reference is dropped. Because commands hold
/// references and memory is taken only when a command runs, the order of taking and freeing is the order of the
/// stream, however far ahead the enqueuing thread is.
class Buffer {
 public:
  Buffer(std::shared_ptr<Allocator> allocator, size_t bytes) : allocator_(std::move(allocator)), bytes_(bytes) {}
  ~Buffer() {
    if (data_) allocator_->release(data_, bytes_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  /// Takes the memory if it is not yet there. Called on the stream's thread, or before the buffer is shared.
  /// Throws OUT_OF_MEMORY.
  void* ensure() {
    if (!data_ && bytes_ > 0) data_ = allocator_->acquire(bytes_);
    return data_;
  }
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

  /// Set when the command that was to write this buffer failed; commands that read it are skipped and reading it
  /// rejects with this error, so a failure reaches exactly those who depend on it.
  std::shared_ptr<const Error> failure;
  /// What the device has yet to say, or has said, about the commands that these contents come from.
  std::vector<std::shared_ptr<DeferredCheck>> checks;

  /// `failure`, or what a check has found by now; null when all is well so far.
  std::shared_ptr<const Error> knownFailure() const {
    if (failure) return failure;
    for (const auto& check : checks)
      if (auto error = check->error()) return error;
    return nullptr;
  }

 private:
  std::shared_ptr<Allocator> allocator_;
  size_t bytes_;
  void* data_ = nullptr;
};

}  // namespace hint
