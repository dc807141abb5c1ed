#include "native/tests/emulator/emulator.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "native/tests/emulator/fiber.h"

namespace hint::emulator {

uint3 thread, block;
dim3 blockSize, gridSize;

namespace {

constexpr int kWarp = 32;

enum class State { fresh, waitingBlock, waitingWarp, ready, done };

struct Worker {
  explicit Worker(void (*main)()) : fiber(main) {}
  Fiber fiber;
  int thread = -1;
};

struct Thread {
  State state = State::fresh;
  Worker* worker = nullptr;
  int operations = 0;  ///< warp operations so far: two sets of slots take turns
};

/// An asynchronous copy into shared memory.
struct Copy {
  void* to;
  const void* from;
  size_t bytes, zeros;
  int group;
};

/// Copies of one thread that have not arrived, in order.
struct Copies {
  std::deque<Copy> pending;
  int group = 0;  ///< groups committed so far
};

/// The block that runs now.
struct Block {
  std::vector<Thread> threads;
  std::vector<Copies> copies;
  std::vector<Slot> slots[2];
  int votes = 0, result = 0;
  void (*body)(void*) = nullptr;
  void* argument = nullptr;
  int next = 0;  ///< first fresh thread
};

Block current;
std::vector<std::unique_ptr<Worker>> workers;
std::vector<Worker*> idle;
Fiber scheduler;
Worker* running = nullptr;
struct alignas(128) SharedUnit {
  float floats[32];
};
std::vector<SharedUnit> dynamicMemory;

void select(int index) {
  running->thread = index;
  thread.x = static_cast<unsigned>(index) % blockSize.x;
  thread.y = static_cast<unsigned>(index) / blockSize.x % blockSize.y;
  thread.z = static_cast<unsigned>(index) / blockSize.x / blockSize.y;
}

/// What a worker does: runs fresh threads one after the other; one that waits takes the worker with it.
void work() {
  for (;;) {
    while (current.next < static_cast<int>(current.threads.size())) {
      const int index = current.next++;
      current.threads[static_cast<size_t>(index)].worker = running;
      select(index);
      current.body(current.argument);
      current.threads[static_cast<size_t>(running->thread)].state = State::done;
    }
    Worker* self = running;
    idle.push_back(self);
    Fiber::change(self->fiber, scheduler);
  }
}

void resume(Worker* worker, int index) {
  running = worker;
  if (index >= 0) select(index);
  Fiber::change(scheduler, worker->fiber);
}

Worker* idleWorker() {
  if (idle.empty()) {
    workers.push_back(std::make_unique<Worker>(work));
    return workers.back().get();
  }
  Worker* worker = idle.back();
  idle.pop_back();
  return worker;
}

void yieldAs(State state) {
  Worker* self = running;
  current.threads[static_cast<size_t>(self->thread)].state = state;
  Fiber::change(self->fiber, scheduler);
}

/// Runs what can run of threads [first, end) until all of them wait for the block or are done. Throws the test out
/// when some of a warp wait for the warp while others wait for the block.
void runWarp(int first, int end) {
  for (;;) {
    for (int i = first; i < end; ++i) {
      Thread& one = current.threads[static_cast<size_t>(i)];
      if (one.state == State::fresh) resume(idleWorker(), -1);
      if (one.state == State::ready) resume(one.worker, i);
    }
    int waiting = 0, living = 0;
    for (int i = first; i < end; ++i) {
      const State state = current.threads[static_cast<size_t>(i)].state;
      living += state != State::done;
      waiting += state == State::waitingWarp;
    }
    if (waiting == 0) return;
    if (waiting < living) {
      std::fprintf(stderr, "CUDA emulator: threads of a warp wait at different barriers.\n");
      std::abort();
    }
    for (int i = first; i < end; ++i) {
      State& state = current.threads[static_cast<size_t>(i)].state;
      if (state == State::waitingWarp) state = State::ready;
    }
  }
}

void runBlock() {
  const int count = static_cast<int>(current.threads.size());
  for (Thread& one : current.threads) one = Thread{};
  for (Copies& one : current.copies) one = Copies{};
  current.next = 0;
  current.votes = 0;
  for (;;) {
    // A warp at a time up to the next barrier of the block: its threads and their stacks stay in the cache.
    for (int first = 0; first < count; first += kWarp) runWarp(first, first + kWarp < count ? first + kWarp : count);
    bool alive = false;
    for (Thread& one : current.threads)
      if (one.state == State::waitingBlock) {
        one.state = State::ready;
        alive = true;
      }
    if (!alive) return;
    current.result = std::exchange(current.votes, 0);
  }
}

void arrive(const Copy& copy) {
  std::memcpy(copy.to, copy.from, copy.bytes);
  std::memset(static_cast<char*>(copy.to) + copy.bytes, 0, copy.zeros);
}

}  // namespace

float* sharedMemory() { return dynamicMemory.data()->floats; }

void run(dim3 grid, dim3 threads, size_t sharedBytes, void (*body)(void*), void* state) {
  // Several devices launch from threads of their own, but there is one block that runs.
  static std::mutex launching;
  const std::lock_guard<std::mutex> lock(launching);
  const size_t count = size_t{threads.x} * threads.y * threads.z;
  gridSize = grid;
  blockSize = threads;
  current.threads.resize(count);
  current.copies.resize(count);
  for (auto& slots : current.slots) slots.resize((count + kWarp - 1) / kWarp * kWarp);
  current.body = body;
  current.argument = state;
  dynamicMemory.resize(sharedBytes / sizeof(SharedUnit) + 1);
  // Each launch begins at another block, and goes on in either direction: nothing may depend on the order.
  static uint64_t launches = 0;
  const uint64_t turn = ++launches * 0x9E3779B97F4A7C15u;
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z, first = turn / 2 % (blocks ? blocks : 1);
  for (uint64_t i = 0; i < blocks; ++i) {
    const uint64_t at = (first + (turn >> 63 ? blocks - i : i)) % blocks;
    block = {static_cast<unsigned>(at % grid.x), static_cast<unsigned>(at / grid.x % grid.y),
             static_cast<unsigned>(at / grid.x / grid.y)};
    // NaN, not what the last block left: kernels must write shared memory before they read it.
    std::memset(dynamicMemory.data(), 0xFF, dynamicMemory.size() * sizeof(SharedUnit));
    runBlock();
  }
}

int waitBlock(int value) {
  current.votes |= value;
  yieldAs(State::waitingBlock);
  return current.result;
}

const Slot* gather(const void* value, size_t bytes) {
  const int index = running->thread;
  auto& slots = current.slots[current.threads[static_cast<size_t>(index)].operations++ % 2];
  std::memcpy(&slots[static_cast<size_t>(index)], value, bytes);
  yieldAs(State::waitingWarp);
  return &slots[static_cast<size_t>(index / kWarp * kWarp)];
}

unsigned lane() { return static_cast<unsigned>(running->thread % kWarp); }

unsigned ballot(bool predicate) {
  const Slot* slots = gather(&predicate, sizeof predicate);
  const int first = running->thread / kWarp * kWarp, count = static_cast<int>(current.threads.size()) - first;
  unsigned bits = 0;
  for (int i = 0; i < kWarp && i < count; ++i)
    if (slots[i].bytes[0]) bits |= 1u << i;
  return bits;
}

void copyAsync(void* to, const void* from, size_t bytes, size_t zeros) {
  Copies& copies = current.copies[static_cast<size_t>(running->thread)];
  // Until it arrives, nothing can be read there: neither the new bytes nor the old.
  std::memset(to, 0xFF, bytes + zeros);
  copies.pending.push_back({to, from, bytes, zeros, copies.group});
}

void commitCopies() { ++current.copies[static_cast<size_t>(running->thread)].group; }

void awaitCopies(int allowed) {
  Copies& copies = current.copies[static_cast<size_t>(running->thread)];
  while (!copies.pending.empty() && copies.pending.front().group < copies.group - allowed) {
    arrive(copies.pending.front());
    copies.pending.pop_front();
  }
}

}  // namespace hint::emulator
