#pragma once

#include <atomic>
#include <cstddef>
#include <new>
#include <utility>

#include "native/runtime/poison.h"

namespace hint {

/// Blocks of one size that are used again. The thread that enqueues makes what the stream's thread gives back,
/// thousands of times a step, and the C library joins and splits blocks that change threads. Thread-safe.
template <size_t kBytes>
class BlockPool {
 public:
  static void* take() {
    static thread_local Own own;
    if (!own.first) own.first = given_.exchange(nullptr, std::memory_order_acquire);
    if (!own.first) return ::operator new(sizeof(Block));
    Block* block = own.first;
    own.first = block->next;
    unpoison(block, sizeof(Block));
    return block;
  }
  static void give(void* pointer) noexcept {
    auto* block = static_cast<Block*>(pointer);
    poison(block, sizeof(Block));
    unpoison(&block->next, sizeof(block->next));
    block->next = given_.load(std::memory_order_relaxed);
    while (!given_.compare_exchange_weak(block->next, block, std::memory_order_release, std::memory_order_relaxed)) {
    }
  }

 private:
  union Block {
    Block* next;
    alignas(std::max_align_t) unsigned char bytes[kBytes];
  };
  /// What a thread has taken over. All that were given at the time are taken at once, so that no block can come back
  /// while its successor is read.
  struct Own {
    Block* first = nullptr;
    ~Own() {
      while (first) give(std::exchange(first, first->next));
    }
  };
  static inline std::atomic<Block*> given_ = nullptr;
};

/// For std::allocate_shared.
template <typename Value>
struct PooledAllocator {
  using value_type = Value;
  PooledAllocator() = default;
  template <typename Other>
  PooledAllocator(const PooledAllocator<Other>&) {}

  Value* allocate(size_t count) {
    return static_cast<Value*>(count == 1 ? BlockPool<sizeof(Value)>::take() : ::operator new(count * sizeof(Value)));
  }
  void deallocate(Value* pointer, size_t count) noexcept {
    if (count == 1)
      BlockPool<sizeof(Value)>::give(pointer);
    else
      ::operator delete(pointer);
  }
  template <typename Other>
  bool operator==(const PooledAllocator<Other>&) const {
    return true;
  }
};

}  // namespace hint
