#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "native/tests/emulator/device.h"
#include "native/tests/emulator/emulator.h"
#include "native/tests/emulator/fiber.h"
#include "native/tests/emulator/shadow.h"
#include "native/tests/emulator/stream.h"

namespace hint::emulator {

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace {

constexpr int kWarp = 32, kMostThreads = 1024;

enum class State { fresh, waitingBlock, waitingWarp, ready, done };
/// What the lanes of a warp wait for; all must wait for the same.
enum class Meeting { values, memory };

struct Worker {
  explicit Worker(void (*main)()) : fiber(main) {}
  Fiber fiber;
  int thread = -1;
};

struct Thread {
  State state = State::fresh;
  Meeting meeting = Meeting::values;
  Worker* worker = nullptr;
  int operations = 0;  ///< warp operations so far; two sets of slots are used in turn
};

/// An asynchronous copy into shared memory.
struct Copy {
  void* to;
  const void* from;
  size_t bytes, zeros;
  int group;
};

/// Copies of one thread that have not been done, in order.
struct Copies {
  std::deque<Copy> pending;
  int group = 0;  ///< groups committed so far
};

/// The block that runs now.
struct Block {
  std::vector<Thread> threads;
  std::vector<Copies> copies;
  int votes = 0, result = 0;
  void (*body)(const void*) = nullptr;
  const void* argument = nullptr;
  std::vector<int> order;  ///< in which threads begin: warps in random order, and the lanes of each warp
  size_t next = 0;         ///< first thread in it that has not begun
  std::vector<std::pair<void*, size_t>> shared;
  size_t sharedBytes = 0, mostShared = 0;  ///< static and dynamic bytes, and the limit of both together
};

/// Static, so that the checks know that it is not host memory of the program.
Slot slots[2][kMostThreads];

// Never destroyed, because a block may still run when the process ends.
Block& current = *new Block;
std::vector<std::unique_ptr<Worker>>& workers = *new std::vector<std::unique_ptr<Worker>>;
std::vector<Worker*>& idle = *new std::vector<Worker*>;
Fiber scheduler;
Worker* running = nullptr;
alignas(128) unsigned char dynamicMemory[size_t{256} << 10];
const char* kernelName = nullptr;

void select(int index) {
  running->thread = index;
  threadIdx.x = static_cast<unsigned>(index) % blockDim.x;
  threadIdx.y = static_cast<unsigned>(index) / blockDim.x % blockDim.y;
  threadIdx.z = static_cast<unsigned>(index) / blockDim.x / blockDim.y;
  shadow::enterThread(index, running->fiber.stack(), Fiber::kStack);
}

/// Body of a worker: runs threads that have not begun, one after the other. A thread that waits keeps the worker's
/// stack.
void work() {
  for (;;) {
    while (current.next < current.order.size()) {
      const int index = current.order[current.next++];
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

void yieldAs(State state, Meeting meeting = Meeting::values) {
  Worker* self = running;
  Thread& one = current.threads[static_cast<size_t>(self->thread)];
  one.state = state;
  one.meeting = meeting;
  Fiber::change(self->fiber, scheduler);
}

[[noreturn]] void abortIn(const char* what) {
  std::fprintf(stderr, "CUDA emulator: %s in %s, block (%u, %u, %u).\n", what, kernelName, blockIdx.x, blockIdx.y,
               blockIdx.z);
  std::abort();
}

template <typename T>
void shuffle(T* values, size_t count) {
  for (size_t i = count; i > 1; --i) std::swap(values[i - 1], values[chance(i)]);
}

/// Runs these threads of a warp until all of them wait for the block or are done. Between two synchronisations of the
/// warp, its lanes run in random order.
void runWarp(int* lanes, int count) {
  for (;;) {
    for (int i = 0; i < count; ++i) {
      Thread& one = current.threads[static_cast<size_t>(lanes[i])];
      if (one.state == State::fresh) resume(idleWorker(), -1);
      if (one.state == State::ready) resume(one.worker, lanes[i]);
    }
    int waiting = 0, living = 0, forMemory = 0;
    for (int i = 0; i < count; ++i) {
      const Thread& one = current.threads[static_cast<size_t>(lanes[i])];
      living += one.state != State::done;
      waiting += one.state == State::waitingWarp;
      forMemory += one.state == State::waitingWarp && one.meeting == Meeting::memory;
    }
    if (waiting == 0) return;
    if (waiting < living || (forMemory != 0 && forMemory != waiting))
      abortIn("threads of a warp wait at different barriers");
    if (forMemory) shadow::meetWarp(lanes[0] / kWarp);
    shuffle(lanes, static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      State& state = current.threads[static_cast<size_t>(lanes[i])].state;
      if (state == State::waitingWarp) state = State::ready;
    }
  }
}

void runBlock() {
  const int count = static_cast<int>(current.threads.size()), warps = (count + kWarp - 1) / kWarp;
  for (Thread& one : current.threads) one = Thread{};
  for (Copies& one : current.copies) one = Copies{};
  current.votes = 0;
  current.next = 0;
  current.order.resize(static_cast<size_t>(count));
  std::vector<int*> order(static_cast<size_t>(warps));  // the lanes of each warp, in the order of the warps
  std::vector<int> turn(static_cast<size_t>(warps));
  for (int warp = 0; warp < warps; ++warp) turn[static_cast<size_t>(warp)] = warp;
  shuffle(turn.data(), turn.size());
  const auto sizeOf = [&](int warp) { return std::min(kWarp, count - warp * kWarp); };
  int at = 0;
  for (size_t i = 0; i < turn.size(); ++i) {
    order[i] = &current.order[static_cast<size_t>(at)];
    for (int lane = 0; lane < sizeOf(turn[i]); ++lane)
      current.order[static_cast<size_t>(at++)] = turn[i] * kWarp + lane;
    shuffle(order[i], static_cast<size_t>(sizeOf(turn[i])));
  }
  for (;;) {
    // One warp after the other up to the next barrier of the block, so that its threads and stacks stay in the cache.
    for (int* lanes : order) runWarp(lanes, sizeOf(lanes[0] / kWarp));
    int alive = 0;
    for (Thread& one : current.threads)
      if (one.state == State::waitingBlock) {
        one.state = State::ready;
        ++alive;
      }
    if (!alive) return;
    shadow::meetBlock(alive);
    current.result = std::exchange(current.votes, 0);
    shuffle(order.data(), order.size());
  }
}

void arrive(const Copy& copy) {
  std::memcpy(copy.to, copy.from, copy.bytes);
  std::memset(static_cast<char*>(copy.to) + copy.bytes, 0, copy.zeros);
}

/// Runs all blocks of a launch.
void run(const Kernel& kernel, const Configuration& configuration, void (*body)(const void*), const void* state,
         size_t bytes) {
  const size_t count = size_t{configuration.threads.x} * configuration.threads.y * configuration.threads.z;
  const dim3 grid = gridDim = configuration.grid;
  blockDim = configuration.threads;
  current.threads.resize(count);
  current.copies.resize(count);
  current.body = body;
  current.argument = state;
  current.mostShared = mostShared(kernel.identity);
  kernelName = kernel.name;
  shadow::beginKernel(kernel.name, state, bytes);
  // Each launch begins at another block and continues in a random direction, because results must not depend on the
  // order.
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z, first = chance(blocks);
  const bool backwards = chance(2) == 1;
  for (uint64_t i = 0; i < blocks; ++i) {
    const uint64_t at = (first + (backwards ? blocks - i : i)) % blocks;
    blockIdx = {static_cast<unsigned>(at % grid.x), static_cast<unsigned>(at / grid.x % grid.y),
                static_cast<unsigned>(at / grid.x / grid.y)};
    // Filled with NaN instead of the values of the last block, because kernels must write shared memory before they
    // read it.
    std::memset(dynamicMemory, 0xFF, configuration.sharedBytes);
    current.shared.clear();
    current.sharedBytes = configuration.sharedBytes;
    shadow::beginBlock(at, dynamicMemory, configuration.sharedBytes);
    runBlock();
  }
  shadow::endKernel();
}

/// Appends counts of what has run to the file HINT_EMULATOR_STATS when the process ends.
struct Statistics {
  std::set<std::string> kernels;
  uint64_t launches = 0;
};
Statistics& statistics = *new Statistics;

void writeStatistics() {
  const char* path = std::getenv("HINT_EMULATOR_STATS");
  std::FILE* file = path ? std::fopen(path, "a") : nullptr;
  if (!file) return;
  std::string names;
  for (const std::string& name : statistics.kernels) names += (names.empty() ? "\"" : ", \"") + name + "\"";
  std::fprintf(file, "{\"launches\": %llu, \"kernels\": [%s]}\n", static_cast<unsigned long long>(statistics.launches),
               names.c_str());
  std::fclose(file);
}

}  // namespace

void submit(const Kernel& kernel, const Configuration& configuration, std::shared_ptr<void> state, size_t bytes,
            void (*body)(const void*)) {
  if (outcome("cudaLaunchKernel")) return;
  if (const cudaError_t code =
          launchable(kernel.identity, configuration.grid, configuration.threads, configuration.sharedBytes)) {
    returned(code);
    return;
  }
  countLaunch();
  enqueue(streamOf(configuration.stream), [kernel, configuration, state, bytes, body] {
    static const bool isCounted = std::getenv("HINT_EMULATOR_STATS") && std::atexit(writeStatistics) == 0;
    if (isCounted) {
      statistics.kernels.insert(kernel.name);
      ++statistics.launches;
    }
    run(kernel, configuration, body, state.get(), bytes);
  });
}

float* sharedMemory() { return reinterpret_cast<float*>(dynamicMemory); }

void declareShared(void* variable, size_t bytes) {
  for (const auto& [known, size] : current.shared)
    if (known == variable) return;
  std::memset(variable, 0xFF, bytes);
  current.shared.emplace_back(variable, bytes);
  current.sharedBytes += bytes;
  if (current.sharedBytes > current.mostShared)
    report("limit", kernelName, "%s takes %zu bytes of shared memory; it may have %zu.", kernelName,
           current.sharedBytes, current.mostShared);
  shadow::addShared(variable, bytes);
}

int waitBlock(int value) {
  current.votes |= value;
  yieldAs(State::waitingBlock);
  return current.result;
}

const Slot* gather(const void* value, size_t bytes) {
  const int index = running->thread;
  Slot* const turn = slots[current.threads[static_cast<size_t>(index)].operations++ % 2];
  std::memcpy(&turn[index], value, bytes);
  yieldAs(State::waitingWarp);
  return &turn[index / kWarp * kWarp];
}

void requireAligned(const void* address) {
  if (reinterpret_cast<uintptr_t>(address) % 16 != 0)
    report("misaligned access", kernelName, "%s copies or loads 16 bytes at %p.", kernelName, address);
}

void waitWarp() { yieldAs(State::waitingWarp, Meeting::memory); }
void warpReads(const void* from, size_t bytes) { shadow::warpReads(from, bytes, __builtin_return_address(0)); }
void fence() { shadow::fence(); }
void atomic(void* word, size_t bytes) { shadow::atomic(word, bytes, __builtin_return_address(0)); }

unsigned lane() { return static_cast<unsigned>(running->thread % kWarp); }

unsigned ballot(bool predicate) {
  const Slot* given = gather(&predicate, sizeof predicate);
  const int first = running->thread / kWarp * kWarp, count = static_cast<int>(current.threads.size()) - first;
  unsigned bits = 0;
  for (int i = 0; i < kWarp && i < count; ++i)
    if (given[i].bytes[0]) bits |= 1u << i;
  return bits;
}

void copyAsync(void* to, const void* from, size_t bytes, size_t zeros) {
  Copies& copies = current.copies[static_cast<size_t>(running->thread)];
  // Until the copy is done, neither the new bytes nor the old can be read.
  std::memset(to, 0xFF, bytes + zeros);
  shadow::beginCopy(to, from, bytes, bytes + zeros, __builtin_return_address(0));
  copies.pending.push_back({to, from, bytes, zeros, copies.group});
}

void commitCopies() { ++current.copies[static_cast<size_t>(running->thread)].group; }

void awaitCopies(int allowed) {
  Copies& copies = current.copies[static_cast<size_t>(running->thread)];
  while (!copies.pending.empty() && copies.pending.front().group < copies.group - allowed) {
    arrive(copies.pending.front());
    shadow::endCopy(copies.pending.front().to, copies.pending.front().bytes + copies.pending.front().zeros,
                    __builtin_return_address(0));
    copies.pending.pop_front();
  }
}

}  // namespace hint::emulator
