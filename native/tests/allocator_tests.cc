#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "native/runtime/allocator.h"
#include "native/runtime/block_pool.h"
#include "native/tests/check.h"

namespace hint {
namespace {

/// Host memory that runs out after `blocks` blocks held at once.
class ScarceMemory final : public MemorySource {
 public:
  explicit ScarceMemory(int blocks) : left_(blocks), memory_(hostMemory()) {}
  void* take(size_t bytes) override { return left_ > 0 ? (--left_, memory_->take(bytes)) : nullptr; }
  void give(void* pointer) override {
    ++left_;
    memory_->give(pointer);
  }

 private:
  int left_;
  std::unique_ptr<MemorySource> memory_;
};

TEST("a freed block is reused without asking the system") {
  Allocator allocator(hostMemory());
  void* first = allocator.acquire(100000);
  allocator.release(first, 100000);
  CHECK_EQUAL(allocator.acquire(100000), first);
  CHECK_EQUAL(allocator.stats().sourceCalls, 1u);
  allocator.release(first, 100000);
}

TEST("allocator statistics follow what is held, cached and the peak") {
  Allocator allocator(hostMemory());
  void* a = allocator.acquire(8192);
  void* b = allocator.acquire(8192);
  CHECK_EQUAL(allocator.stats().inUse, 16384u);
  allocator.release(a, 8192);
  CHECK_EQUAL(allocator.stats().inUse, 8192u);
  CHECK_EQUAL(allocator.stats().cached, 8192u);
  CHECK_EQUAL(allocator.stats().peakInUse, 16384u);
  allocator.resetPeak();
  CHECK_EQUAL(allocator.stats().peakInUse, 8192u);
  allocator.trim();
  CHECK_EQUAL(allocator.stats().cached, 0u);
  allocator.release(b, 8192);
}

TEST("an allocator that is closed keeps no free memory, now or later, though some is still in use") {
  Allocator allocator(hostMemory());
  void* free = allocator.acquire(8192);
  void* used = allocator.acquire(16384);
  allocator.release(free, 8192);
  allocator.close();
  CHECK_EQUAL(allocator.stats().cached, 0u);
  CHECK_EQUAL(allocator.stats().inUse, 16384u);
  allocator.release(used, 16384);
  CHECK_EQUAL(allocator.stats().cached, 0u);
  CHECK_EQUAL(allocator.stats().inUse, 0u);
}

TEST("rounding to size classes wastes at most an eighth above 4 KiB") {
  Allocator allocator(hostMemory());
  for (size_t bytes = 4097; bytes < 40000000; bytes += bytes / 3 + 1) {
    void* block = allocator.acquire(bytes);
    CHECK(allocator.stats().inUse >= bytes);
    CHECK(allocator.stats().inUse <= bytes + bytes / 8);
    allocator.release(block, bytes);
  }
}

TEST("blocks of every size are aligned for full-width vectors") {
  Allocator allocator(hostMemory());
  for (size_t bytes : {1u, 63u, 100u, 257u, 5000u, 1000001u}) {
    void* block = allocator.acquire(bytes);
    CHECK_EQUAL(reinterpret_cast<uintptr_t>(block) % 64, 0u);
    allocator.release(block, bytes);
  }
}

TEST("the memory limit is an error that names the sizes, and the allocator works afterwards") {
  Allocator allocator(hostMemory(), 1 << 20);
  void* held = allocator.acquire(700000);
  const Error error = ERROR_OF("OUT_OF_MEMORY", allocator.acquire(600000));
  CHECK_CONTAINS(error.what(), "limit 1048576 bytes");
  CHECK_CONTAINS(error.what(), std::to_string(allocator.stats().inUse));
  void* small = allocator.acquire(1000);
  allocator.release(held, 700000);
  void* large = allocator.acquire(600000);
  allocator.release(small, 1000);
  allocator.release(large, 600000);
  CHECK_EQUAL(allocator.stats().inUse, 0u);
}

TEST("cached blocks of another size are given back before a limit is reported") {
  Allocator allocator(hostMemory(), 1 << 20);
  allocator.release(allocator.acquire(900000), 900000);
  void* other = allocator.acquire(500000);
  CHECK_EQUAL(allocator.stats().cached, 0u);
  allocator.release(other, 500000);
}

TEST("when the system is out of memory the cache is emptied once, then it is an error") {
  Allocator allocator(std::make_unique<ScarceMemory>(2));
  void* a = allocator.acquire(1000);
  allocator.release(allocator.acquire(5000), 5000);
  void* b = allocator.acquire(9000);
  ERROR_OF("OUT_OF_MEMORY", allocator.acquire(1000));
  allocator.release(b, 9000);
  void* c = allocator.acquire(1000);
  allocator.release(a, 1000);
  allocator.release(c, 1000);
  CHECK_EQUAL(allocator.stats().inUse, 0u);
}

TEST("threads can share an allocator") {
  Allocator allocator(hostMemory());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&allocator, t] {
      for (int i = 0; i < 500; ++i) {
        const size_t bytes = static_cast<size_t>(256 + 97 * ((i * 7 + t) % 50));
        auto* block = static_cast<unsigned char*>(allocator.acquire(bytes));
        block[0] = block[bytes - 1] = 1;
        allocator.release(block, bytes);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK_EQUAL(allocator.stats().inUse, 0u);
}

TEST("a pooled block has one owner at a time, whichever threads take it and give it back") {
  constexpr int kThreads = 4, kRounds = 2000, kPlaces = 8;
  std::array<std::atomic<std::atomic<int>*>, kPlaces> shared = {};
  std::atomic<int> clashes = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      using Pool = PooledAllocator<std::atomic<int>>;
      for (int i = 0; i < kRounds; ++i) {
        auto* mine = new (Pool().allocate(1)) std::atomic<int>(t * kRounds + i);
        // Whoever finds it gives it back.
        auto* other = shared[static_cast<size_t>(i % kPlaces)].exchange(mine);
        if (!other) continue;
        if (other->exchange(-1) < 0) ++clashes;
        Pool().deallocate(other, 1);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK_EQUAL(clashes.load(), 0);
  for (auto& left : shared)
    if (left) PooledAllocator<std::atomic<int>>().deallocate(left, 1);
}

}  // namespace
}  // namespace hint
