#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "native/core/error.h"
#include "native/core/op_spec.h"

namespace hint {

/// What one rank of several reads or writes of a tensor that all of them have.
struct Part {
  void* data;
  size_t bytes;
  int owner;                 ///< the rank that has, or gets, the result
  DType dtype = DType::f32;  ///< of what is summed
};

/// Ends waits for other ranks. Raised by any thread, once; it stays raised.
class Interrupt {
 public:
  void raise(std::shared_ptr<const Error> error) {
    const std::lock_guard lock(mutex_);
    if (error_) return;
    error_ = std::move(error);
    raised_.store(true, std::memory_order_release);
  }
  /// Throws the error when the interrupt was raised.
  void check() const {
    if (const auto error = raised()) throw Error(*error);
  }
  /// Null while it was not raised.
  std::shared_ptr<const Error> raised() const {
    if (!raised_.load(std::memory_order_acquire)) return nullptr;
    const std::lock_guard lock(mutex_);
    return error_;
  }

 private:
  std::atomic<bool> raised_ = false;
  mutable std::mutex mutex_;
  std::shared_ptr<const Error> error_;
};

/// What the processes of one run do together. Every rank makes the same calls, with parts of the same sizes and owners,
/// in the same order and on one thread of its own; each call returns when this rank's part of it is done, or throws the
/// error of its interrupt. After that, the ranks are apart for good, and memory that was given must stay.
class Communicator {
 public:
  virtual ~Communicator() = default;
  /// Where the memory of parts is.
  virtual DeviceType type() const = 0;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Sums each part, which is f32 or bf16, over the ranks; the sum replaces the values of its owner. On the CPU terms
  /// are added in the order of the ranks, in f32, so that the same number of ranks gives the same bits.
  virtual void reduce(std::span<const Part> parts) = 0;
  /// reduce, with the sum at every rank; owners do not count.
  virtual void allReduce(std::span<const Part> parts) = 0;
  /// The bytes of each part's owner replace those of all others.
  virtual void broadcast(std::span<const Part> parts) = 0;
  /// The bytes of each part's owner replace those of rank `root`.
  virtual void gather(std::span<const Part> parts, int root) = 0;
  /// Bytes that each rank gives, however many, in the order of the ranks: of the host, wherever parts are.
  virtual std::vector<std::vector<uint8_t>> exchange(const std::vector<uint8_t>& own) = 0;
  /// Returns once every rank has called it.
  virtual void barrier() = 0;
  /// Takes leave of the others, which do the same. Nothing is called afterwards.
  virtual void close() = 0;
};

}  // namespace hint
