#include "native/tests/emulator/emulator.h"

#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

namespace hint::emulator {

uint3 thread, block;
dim3 blockSize, gridSize;

namespace {

constexpr int kWarp = 32;
constexpr size_t kStack = size_t{256} << 10;

enum class State { fresh, waitingBlock, waitingWarp, ready, done };

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  int thread = -1;
};

struct Thread {
  State state = State::fresh;
  Fiber* fiber = nullptr;
  int operations = 0;  ///< warp operations so far: two sets of slots take turns
};

/// The block that runs now.
struct Block {
  std::vector<Thread> threads;
  std::vector<uint64_t> slots[2];
  int votes = 0, result = 0;
  void (*body)(void*) = nullptr;
  void* argument = nullptr;
  int next = 0;  ///< first fresh thread
};

Block current;
std::vector<std::unique_ptr<Fiber>> fibers;
std::vector<Fiber*> idle;
ucontext_t scheduler;
Fiber* running = nullptr;
std::vector<float> dynamicMemory;

void select(int index) {
  running->thread = index;
  thread.x = static_cast<unsigned>(index) % blockSize.x;
  thread.y = static_cast<unsigned>(index) / blockSize.x % blockSize.y;
  thread.z = static_cast<unsigned>(index) / blockSize.x / blockSize.y;
}

/// What a fiber does: runs fresh threads one after the other; one that waits takes the fiber with it.
void fiberMain() {
  for (;;) {
    while (current.next < static_cast<int>(current.threads.size())) {
      const int index = current.next++;
      current.threads[static_cast<size_t>(index)].fiber = running;
      select(index);
      current.body(current.argument);
      current.threads[static_cast<size_t>(running->thread)].state = State::done;
    }
    Fiber* self = running;
    idle.push_back(self);
    swapcontext(&self->context, &scheduler);
  }
}

void resume(Fiber* fiber, int index) {
  running = fiber;
  if (index >= 0) select(index);
  swapcontext(&scheduler, &fiber->context);
}

Fiber* newFiber() {
  if (!idle.empty()) {
    Fiber* fiber = idle.back();
    idle.pop_back();
    return fiber;
  }
  fibers.push_back(std::make_unique<Fiber>());
  Fiber* fiber = fibers.back().get();
  fiber->stack = std::make_unique<char[]>(kStack);
  getcontext(&fiber->context);
  fiber->context.uc_stack.ss_sp = fiber->stack.get();
  fiber->context.uc_stack.ss_size = kStack;
  fiber->context.uc_link = nullptr;
  makecontext(&fiber->context, fiberMain, 0);
  return fiber;
}

void yieldAs(State state) {
  Fiber* self = running;
  current.threads[static_cast<size_t>(self->thread)].state = state;
  swapcontext(&self->context, &scheduler);
}

/// Lets waiting threads go on: warps whose threads all wait for the warp, else the block when all wait for it.
bool release() {
  const int count = static_cast<int>(current.threads.size());
  bool released = false;
  int waitingBlock = 0, alive = 0;
  for (int first = 0; first < count; first += kWarp) {
    int waiting = 0, living = 0;
    for (int i = first; i < first + kWarp && i < count; ++i) {
      const State state = current.threads[static_cast<size_t>(i)].state;
      living += state != State::done;
      waiting += state == State::waitingWarp;
      waitingBlock += state == State::waitingBlock;
    }
    alive += living;
    if (waiting == 0 || waiting < living) continue;
    for (int i = first; i < first + kWarp && i < count; ++i)
      if (current.threads[static_cast<size_t>(i)].state == State::waitingWarp)
        current.threads[static_cast<size_t>(i)].state = State::ready;
    released = true;
  }
  if (alive == 0) return false;
  if (!released && waitingBlock == alive) {
    for (Thread& one : current.threads)
      if (one.state == State::waitingBlock) one.state = State::ready;
    current.result = std::exchange(current.votes, 0);
    return true;
  }
  if (!released) {
    std::fprintf(stderr, "CUDA emulator: threads of a block wait at different barriers.\n");
    std::abort();
  }
  return true;
}

void runBlock() {
  for (Thread& one : current.threads) one = Thread{};
  current.next = 0;
  current.votes = 0;
  do {
    for (size_t i = 0; i < current.threads.size(); ++i)
      if (current.threads[i].state == State::ready) resume(current.threads[i].fiber, static_cast<int>(i));
    while (current.next < static_cast<int>(current.threads.size())) resume(newFiber(), -1);
  } while (release());
}

}  // namespace

float* sharedMemory() { return dynamicMemory.data(); }

void run(dim3 grid, dim3 threads, size_t sharedBytes, void (*body)(void*), void* state) {
  const size_t count = size_t{threads.x} * threads.y * threads.z;
  gridSize = grid;
  blockSize = threads;
  current.threads.resize(count);
  for (auto& slots : current.slots) slots.resize((count + kWarp - 1) / kWarp * kWarp);
  current.body = body;
  current.argument = state;
  // Not zero: kernels must write shared memory before they read it.
  dynamicMemory.assign(sharedBytes / sizeof(float) + 1, NAN);
  for (block.z = 0; block.z < grid.z; ++block.z)
    for (block.y = 0; block.y < grid.y; ++block.y)
      for (block.x = 0; block.x < grid.x; ++block.x) runBlock();
}

int waitBlock(int value) {
  current.votes |= value;
  yieldAs(State::waitingBlock);
  return current.result;
}

uint64_t exchange(uint64_t value, int (*source)(int, int), int argument) {
  const int index = running->thread;
  auto& slots = current.slots[current.threads[static_cast<size_t>(index)].operations++ % 2];
  slots[static_cast<size_t>(index)] = value;
  yieldAs(State::waitingWarp);
  return slots[static_cast<size_t>(index / kWarp * kWarp + source(index % kWarp, argument))];
}

unsigned ballot(bool predicate) {
  const int index = running->thread, first = index / kWarp * kWarp;
  auto& slots = current.slots[current.threads[static_cast<size_t>(index)].operations++ % 2];
  slots[static_cast<size_t>(index)] = predicate;
  yieldAs(State::waitingWarp);
  unsigned bits = 0;
  for (int lane = 0; lane < kWarp; ++lane)
    if (slots[static_cast<size_t>(first + lane)]) bits |= 1u << lane;
  return bits;
}

}  // namespace hint::emulator
