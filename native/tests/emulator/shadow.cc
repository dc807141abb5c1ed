#include "native/tests/emulator/shadow.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "native/tests/emulator/device.h"
#include "native/tests/emulator/emulator.h"
#include "native/tests/emulator/stream.h"

/// The compiler calls __tsan_read and __tsan_write at every access of the kernels, and __ubsan_handle_type_mismatch
/// where an address does not suit its type: -fsanitize=thread,alignment without its libraries.
///
/// Two accesses of which one writes are a race unless something orders them. Inside a block, a barrier between them
/// orders them, or __syncwarp when both threads are in one warp. Between blocks, this sequence does: a fence, then an
/// atomic operation, then an atomic operation of the other block on the same word, then a barrier of that block. An
/// epoch is the number of barriers passed.
namespace hint::emulator::shadow {
namespace {

constexpr uint32_t kWarp = 32;

/// An access, in 64 bits, so that two are compared at once.
struct Access {
  uint64_t thread : 10, warpEpoch : 11, epoch : 17, block : 21;
  uint64_t isSet : 1, isAtomic : 1;
  uint64_t isPending : 1;  ///< an asynchronous copy that is not done
  uint64_t otherLanes : 1, otherWarps : 1;
};
static_assert(sizeof(Access) == 8);

/// The last accesses of two bytes of memory.
struct Cell {
  Access write, read;
  const void *writePlace, *readPlace;
  uint64_t launch;
};
constexpr size_t kGrain = 2;

/// What another block has made visible to this one: its writes up to an epoch. The acquiring thread sees them at once,
/// the others from the next epoch on.
struct Acquired {
  uint64_t epoch, atEpoch;
  uint32_t byThread;
};

struct Range {
  uintptr_t begin = 0, end = 0;
  bool has(uintptr_t address) const { return address - begin < end - begin; }
};

struct SharedVariable {
  Range range;
  std::vector<Cell>* cells;
};

const char* kernelName = nullptr;
thread_local bool isInKernel __attribute__((tls_model("initial-exec"))) = false;
/// HINT_EMULATOR_SHADOW=0 turns the checks off, for tests of launches alone.
bool isWatching() {
  static const char* const told = std::getenv("HINT_EMULATOR_SHADOW");
  static const bool answer = told == nullptr || std::strcmp(told, "0") != 0;
  return answer;
}
uint64_t launches = 0, block = 0, epoch = 0;
std::array<uint32_t, 32> warpEpochs;
uint32_t current = 0;  ///< thread
Range stack, arguments, dynamic, ownImage;
// Never destroyed, because a kernel may still run when the process ends.
auto& variables = *new std::vector<SharedVariable>;
auto& cellsOfVariables = *new std::unordered_map<uintptr_t, std::vector<Cell>>;
auto& dynamicCells = *new std::vector<Cell>;
/// For each thread, one plus the epoch in which it called a fence after its last write.
std::array<uint64_t, 1024> fenced;
int fences = 0;
uint64_t fencedEpoch = 0;  ///< epochs before it were closed by a fence of every thread
auto& acquired = *new std::unordered_map<uint64_t, Acquired>;
/// For each word, the writes that blocks have released with it.
auto& released = *new std::unordered_map<uintptr_t, std::unordered_map<uint64_t, uint64_t>>;
Allocation recent[4];

Cell* globalCells() {
  static Cell* const cells = [] {
    void* memory = mmap(nullptr, kArena / kGrain * sizeof(Cell), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      std::perror("CUDA emulator: reserve the shadow");
      std::abort();
    }
    return static_cast<Cell*>(memory);
  }();
  return cells;
}

/// Address range of this library, whose constants and variables kernels may read.
Range imageOf(const void* inside) {
  struct Search {
    uintptr_t at;
    Range found;
  } search{reinterpret_cast<uintptr_t>(inside), {}};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        auto& wanted = *static_cast<Search*>(data);
        Range range{UINTPTR_MAX, 0};
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& header = info->dlpi_phdr[i];
          if (header.p_type != PT_LOAD) continue;
          range.begin = std::min<uintptr_t>(range.begin, info->dlpi_addr + header.p_vaddr);
          range.end = std::max<uintptr_t>(range.end, info->dlpi_addr + header.p_vaddr + header.p_memsz);
        }
        if (range.begin <= wanted.at && wanted.at < range.end) wanted.found = range;
        return 0;
      },
      &search);
  return search.found;
}

/// "function at file:line", innermost first, of the instruction before a return address.
std::string lineOf(const void* place) {
  Dl_info info;
  if (!dladdr(place, &info)) return "an unknown place";
  char command[512];
  std::snprintf(command, sizeof command, "addr2line -ie %s 0x%zx 2>/dev/null", info.dli_fname,
                reinterpret_cast<size_t>(place) - 1 - reinterpret_cast<size_t>(info.dli_fbase));
  std::string lines;
  if (std::FILE* pipe = popen(command, "r")) {
    char text[512];
    while (std::fgets(text, sizeof text, pipe)) {
      text[std::strcspn(text, " \n")] = 0;
      // Paths of this repository are given from its root.
      const std::string line = text;
      const size_t own = line.rfind("/native/"), base = line.rfind('/');
      lines += (lines.empty() ? "" : " < ") + line.substr(own != line.npos    ? own + 1
                                                          : base != line.npos ? base + 1
                                                                              : 0);
    }
    pclose(pipe);
  }
  return lines.empty() ? "an unknown line" : lines;
}

Access here() {
  Access access{};
  access.thread = current;
  access.warpEpoch = warpEpochs[current / kWarp];
  access.epoch = epoch;
  access.block = block;
  access.isSet = 1;
  return access;
}

/// Whether the running thread sees the effect of that access.
bool isOrdered(const Access& then) {
  if (then.block == (block & 0x1FFFFF)) {
    if (then.thread == current && !then.otherLanes && !then.otherWarps) return true;
    if (then.epoch != (epoch & 0x1FFFF)) return true;
    return then.thread / kWarp == current / kWarp && !then.otherWarps &&
           then.warpEpoch != (warpEpochs[current / kWarp] & 0x7FF);
  }
  const auto found = acquired.find(then.block);
  return found != acquired.end() && then.epoch < found->second.epoch &&
         (epoch > found->second.atEpoch || current == found->second.byThread);
}

void conflict(const char* now, const void* place, const char* before, const Access& then, const void* thenPlace,
              const char* memory) {
  if (isReported("race", place)) return;
  report("race", place,
         "%s %s %s memory at %s (block %llu, thread %u), and before it, in no order, %s at %s (block %llu, thread %u).",
         kernelName, now, memory, lineOf(place).c_str(), static_cast<unsigned long long>(block), current, before,
         lineOf(thenPlace).c_str(), static_cast<unsigned long long>(then.block), static_cast<unsigned>(then.thread));
}

enum Flags { kRead = 0, kWrite = 1, kAtomic = 2, kByWarp = 4, kPending = 8 };

void visit(Cell& cell, int flags, const void* place, const char* memory) {
  if (cell.launch != launches) cell = Cell{{}, {}, nullptr, nullptr, launches};
  Access access = here();
  access.isAtomic = (flags & kAtomic) != 0;
  access.isPending = (flags & kPending) != 0;
  const char* now = flags & kPending ? "copies to" : flags & kWrite ? "writes" : "reads";
  if (cell.write.isSet && !(cell.write.isAtomic && access.isAtomic)) {
    Access then = cell.write;
    // The lanes read on behalf of each other, so the writer may be another lane for each.
    if (flags & kByWarp) then.otherLanes = 1;
    if (cell.write.isPending && then.block == (block & 0x1FFFFF))
      conflict(now, place, "a copy that nobody has waited for began", then, cell.writePlace, memory);
    else if (!isOrdered(then))
      conflict(now, place, "it was written", then, cell.writePlace, memory);
  }
  if (flags & kWrite) {
    if (cell.read.isSet && !isOrdered(cell.read))
      conflict(now, place, "it was read", cell.read, cell.readPlace, memory);
    cell.write = access;
    cell.writePlace = place;
    return;
  }
  if (flags & kByWarp) access.otherLanes = 1;
  // The readers of one epoch are noted as one.
  if (cell.read.isSet && cell.read.block == access.block && cell.read.epoch == access.epoch) {
    if (cell.read.thread / kWarp != access.thread / kWarp || cell.read.otherWarps)
      access.otherWarps = 1;
    else if (cell.read.warpEpoch == access.warpEpoch && (cell.read.thread != access.thread || cell.read.otherLanes))
      access.otherLanes = 1;
  }
  cell.read = access;
  cell.readPlace = place;
}

void visitAll(Cell* cells, size_t offset, size_t bytes, int flags, const void* place, const char* memory) {
  for (size_t at = offset / kGrain; at * kGrain < offset + bytes; ++at) visit(cells[at], flags, place, memory);
}

bool isAllocated(uintptr_t address, size_t bytes) {
  for (Allocation& one : recent) {
    const auto begin = reinterpret_cast<uintptr_t>(one.begin);
    if (address - begin < one.bytes && address + bytes - begin <= one.bytes) return true;
  }
  static unsigned turn = 0;
  const Allocation found = allocationOf(reinterpret_cast<void*>(address));
  if (found.bytes == 0) return false;
  recent[turn++ % 4] = found;
  return address + bytes <= reinterpret_cast<uintptr_t>(found.begin) + found.bytes;
}

void access(const void* pointer, size_t bytes, int flags, const void* place) {
  if (!isInKernel) return;
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  if (stack.has(address)) return;
  if (ownImage.has(address)) {
    if (dynamic.has(address)) {
      visitAll(dynamicCells.data(), address - dynamic.begin, bytes, flags, place, "shared");
      return;
    }
    for (const SharedVariable& one : variables)
      if (one.range.has(address)) visitAll(one.cells->data(), address - one.range.begin, bytes, flags, place, "shared");
    return;
  }
  if (isInArena(pointer)) {
    if (!isAllocated(address, bytes)) {
      if (isReported("stray access", place)) return;
      report("stray access", place, "%s %s %zu bytes of memory that nobody holds, at %s (block %llu, thread %u).",
             kernelName, flags & kWrite ? "writes" : "reads", bytes, lineOf(place).c_str(),
             static_cast<unsigned long long>(block), current);
      return;
    }
    if ((flags & kWrite) && fenced[current]) {
      fenced[current] = 0;
      --fences;
    }
    visitAll(globalCells(), arenaOffset(pointer), bytes, flags, place, "global");
    return;
  }
  if (arguments.has(address) && !(flags & kWrite)) return;
  if (isReported("stray access", place)) return;
  report("stray access", place, "%s %s memory of the host at %s (block %llu, thread %u).", kernelName,
         flags & kWrite ? "writes" : "reads", lineOf(place).c_str(), static_cast<unsigned long long>(block), current);
}

}  // namespace

void beginKernel(const char* name, const void* given, size_t bytes) {
  if (!isWatching()) return;
  static const Range image = imageOf(&launches);
  ownImage = image;
  kernelName = name;
  arguments = {reinterpret_cast<uintptr_t>(given), reinterpret_cast<uintptr_t>(given) + bytes};
  released.clear();
  for (Allocation& one : recent) one = {};
  ++launches;
  isInKernel = true;
}

void endKernel() {
  isInKernel = false;
  // The cells of the last launches are not needed by the next.
  constexpr uint64_t kKept = 256;
  if (launches % kKept == 0) madvise(globalCells(), kArena / kGrain * sizeof(Cell), MADV_DONTNEED);
}

void beginBlock(size_t index, const void* memory, size_t bytes) {
  if (!isWatching()) return;
  block = index;
  epoch = 0;
  warpEpochs.fill(0);
  fenced.fill(0);
  fences = 0;
  fencedEpoch = 0;
  acquired.clear();
  variables.clear();
  dynamic = {reinterpret_cast<uintptr_t>(memory), reinterpret_cast<uintptr_t>(memory) + bytes};
  dynamicCells.assign(bytes / kGrain + 1, Cell{});
}

void addShared(const void* variable, size_t bytes) {
  if (!isWatching()) return;
  const auto begin = reinterpret_cast<uintptr_t>(variable);
  auto& cells = cellsOfVariables[begin];
  cells.assign(bytes / kGrain + 1, Cell{});
  variables.push_back({{begin, begin + bytes}, &cells});
}

void enterThread(int index, const void* memory, size_t bytes) {
  current = static_cast<uint32_t>(index);
  stack = {reinterpret_cast<uintptr_t>(memory), reinterpret_cast<uintptr_t>(memory) + bytes};
}

void meetBlock(int living) {
  ++epoch;
  if (fences >= living) fencedEpoch = epoch;
  fenced.fill(0);
  fences = 0;
  warpEpochs.fill(0);
}

void meetWarp(int warp) { ++warpEpochs[static_cast<size_t>(warp)]; }

void fence() {
  if (fenced[current]) return;
  fenced[current] = epoch + 1;
  ++fences;
}

void atomic(const void* word, size_t bytes, const void* place) {
  if (!isInKernel) return;
  access(word, bytes, kWrite | kAtomic, place);
  auto& blocks = released[reinterpret_cast<uintptr_t>(word)];
  // After a fence of this thread: everything that the block wrote before its last barrier. Otherwise: what all threads
  // have fenced.
  const uint64_t seen = fenced[current] ? epoch : fencedEpoch;
  for (const auto& [other, until] : blocks)
    if (other != (block & 0x1FFFFF)) {
      Acquired& entry = acquired[other];
      if (until > entry.epoch) entry = {until, epoch, current};
    }
  if (seen == 0) return;
  // It also releases what the block has acquired from others.
  for (const auto& [other, entry] : acquired)
    if (epoch > entry.atEpoch || current == entry.byThread) blocks[other] = std::max(blocks[other], entry.epoch);
  blocks[block & 0x1FFFFF] = std::max(blocks[block & 0x1FFFFF], seen);
}

void warpReads(const void* from, size_t bytes, const void* place) { access(from, bytes, kRead | kByWarp, place); }

void beginCopy(const void* to, const void* from, size_t read, size_t written, const void* place) {
  if (read > 0) access(from, read, kRead, place);
  access(to, written, kWrite | kPending, place);
}

void endCopy(const void* to, size_t written, const void*) {
  if (!isInKernel) return;
  const auto address = reinterpret_cast<uintptr_t>(to);
  if (!dynamic.has(address)) return;
  // The copy counts as a write at this time: a barrier must separate it from every reader.
  for (size_t at = (address - dynamic.begin) / kGrain; at * kGrain < address - dynamic.begin + written; ++at) {
    Cell& cell = dynamicCells[at];
    if (cell.launch != launches || cell.write.thread != current || !cell.write.isPending) continue;
    const void* began = cell.writePlace;
    cell.write = here();
    cell.writePlace = began;
  }
}

}  // namespace hint::emulator::shadow

namespace shadow = hint::emulator::shadow;

// The compiler's names. -------------------------------------------------------------------------------------------

extern "C" {

#define HINT_PLACE __builtin_return_address(0)
#define HINT_ACCESSES(bytes)                                                                          \
  void __tsan_read##bytes(void* p) { shadow::access(p, bytes, shadow::kRead, HINT_PLACE); }           \
  void __tsan_write##bytes(void* p) { shadow::access(p, bytes, shadow::kWrite, HINT_PLACE); }         \
  void __tsan_unaligned_read##bytes(void* p) { shadow::access(p, bytes, shadow::kRead, HINT_PLACE); } \
  void __tsan_unaligned_write##bytes(void* p) { shadow::access(p, bytes, shadow::kWrite, HINT_PLACE); }
HINT_ACCESSES(1)
HINT_ACCESSES(2)
HINT_ACCESSES(4)
HINT_ACCESSES(8)
HINT_ACCESSES(16)
#undef HINT_ACCESSES

void __tsan_read_range(void* p, size_t bytes) { shadow::access(p, bytes, shadow::kRead, HINT_PLACE); }
void __tsan_write_range(void* p, size_t bytes) { shadow::access(p, bytes, shadow::kWrite, HINT_PLACE); }
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}

// Atomic operations of host code. They are at least as strongly ordered as was asked for.
#define HINT_ATOMICS(bits, type)                                                                                \
  type __tsan_atomic##bits##_load(const volatile type* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); } \
  void __tsan_atomic##bits##_store(volatile type* p, type v, int) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); } \
  type __tsan_atomic##bits##_exchange(volatile type* p, type v, int) {                                          \
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                                         \
  }                                                                                                             \
  type __tsan_atomic##bits##_fetch_add(volatile type* p, type v, int) {                                         \
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);                                                          \
  }                                                                                                             \
  type __tsan_atomic##bits##_fetch_sub(volatile type* p, type v, int) {                                         \
    return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST);                                                          \
  }                                                                                                             \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile type* p, type* expected, type v, int, int) {       \
    return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);              \
  }                                                                                                             \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile type* p, type* expected, type v, int, int) {         \
    return __atomic_compare_exchange_n(p, expected, v, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);               \
  }
HINT_ATOMICS(8, uint8_t)
HINT_ATOMICS(32, uint32_t)
HINT_ATOMICS(64, uint64_t)
#undef HINT_ATOMICS
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/// GCC's description of a type and a source location, for -fsanitize=alignment.
struct TypeMismatch {
  const char* file;
  uint32_t line, column;
  const struct {
    uint16_t kind, info;
    char name[1];
  } * type;
  uint8_t logAlignment, check;
};

void __ubsan_handle_type_mismatch_v1(TypeMismatch* what, uintptr_t address) {
  if (!shadow::isInKernel) return;
  hint::emulator::report("misaligned access", HINT_PLACE, "%s: %s:%u: %p is no multiple of %u bytes, as %s must be.",
                         shadow::kernelName, what->file, what->line, reinterpret_cast<void*>(address),
                         1u << what->logAlignment, what->type->name);
}
}
