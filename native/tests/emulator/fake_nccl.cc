// NCCL between processes of the emulator, as far as the engine calls it, in memory that they share: the CUDA back end
// in the emulator opens it through HINT_NCCL. As with the real one no call waits, the work is done on the stream, a
// rank that is gone is waited for until the communicator is aborted, and ranks that call differently are an error.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "native/collectives/nccl/nccl.h"
#include "native/tests/emulator/stream.h"

namespace hint::nccl {
namespace {

constexpr Result kSystemError = 2, kInvalidArgument = 4;
constexpr size_t kRoom = size_t{64} << 10;

/// What one rank sends to another.
struct Channel {
  std::atomic<uint64_t> written, read;
  unsigned char bytes[kRoom];
};

struct Shared {
  std::atomic<int> joined;
  alignas(64) Channel channels[];
};

/// What the sender calls, which the receiver has to call too.
struct Head {
  int op;
  int dtype;
  uint64_t count;
  bool operator==(const Head& other) const { return op == other.op && dtype == other.dtype && count == other.count; }
};

enum Op { kReduce, kAllReduce, kBroadcast, kAllGather, kSend, kReceive };

struct Call {
  Op op;
  const void* from;
  void* to;
  size_t count;
  int dtype;
  int peer;  ///< root, or the other rank
};

struct Aborted {};

size_t widthOf(int dtype) { return dtype == kFloat32 ? 4 : dtype == kBfloat16 ? 2 : 1; }

float valueOf(const void* data, int dtype, size_t at) {
  float value;
  if (dtype == kFloat32) {
    std::memcpy(&value, static_cast<const float*>(data) + at, sizeof value);
  } else {
    const uint32_t bits = uint32_t{static_cast<const uint16_t*>(data)[at]} << 16;
    std::memcpy(&value, &bits, sizeof value);
  }
  return value;
}

void store(void* data, int dtype, size_t at, float value) {
  if (dtype == kFloat32) {
    static_cast<float*>(data)[at] = value;
    return;
  }
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits += 0x7FFF + (bits >> 16 & 1);  // to the nearest, ties to even
  static_cast<uint16_t*>(data)[at] = static_cast<uint16_t>(bits >> 16);
}

}  // namespace

struct CommData {
  std::string name;
  Shared* shared = nullptr;
  size_t bytes = 0;
  int rank = 0, size = 0;
  std::atomic<bool> isAborted = false;
  std::atomic<Result> error = kSuccess;
  /// Since the last group ended: looks at the state until they are launched.
  std::vector<Call> calls;
  cudaStream_t stream = nullptr;
  int looks = 0;

  ~CommData() {
    if (shared) munmap(shared, bytes);
  }

  Channel& channel(int from, int to) { return shared->channels[from * size + to]; }

  template <typename Ready>
  void until(const Ready& ready) {
    while (!ready()) {
      if (isAborted) throw Aborted();
      const timespec pause{.tv_sec = 0, .tv_nsec = 20'000};
      nanosleep(&pause, nullptr);
    }
  }

  void put(int to, const void* data, size_t length) {
    Channel& out = channel(rank, to);
    const auto* next = static_cast<const unsigned char*>(data);
    for (size_t count; length > 0; length -= count, next += count) {
      until([&] { return out.written - out.read < kRoom; });
      const size_t at = out.written % kRoom;
      count = std::min({length, kRoom - at, kRoom - static_cast<size_t>(out.written - out.read)});
      std::memcpy(out.bytes + at, next, count);
      out.written += count;
    }
  }
  void take(int from, void* data, size_t length) {
    Channel& in = channel(from, rank);
    auto* next = static_cast<unsigned char*>(data);
    for (size_t count; length > 0; length -= count, next += count) {
      until([&] { return in.written > in.read; });
      const size_t at = in.read % kRoom;
      count = std::min({length, kRoom - at, static_cast<size_t>(in.written - in.read)});
      std::memcpy(next, in.bytes + at, count);
      in.read += count;
    }
  }

  void send(int to, Head head, const void* data, size_t length) {
    put(to, &head, sizeof head);
    put(to, data, length);
  }
  void receive(int from, Head expected, void* data, size_t length) {
    Head head;
    take(from, &head, sizeof head);
    if (!(head == expected)) {
      error = kInvalidArgument;
      throw Aborted();
    }
    take(from, data, length);
  }

  void broadcast(Head head, const void* from, void* to, size_t length, int root) {
    if (rank != root) return receive(root, head, to, length);
    for (int other = 0; other < size; ++other)
      if (other != rank) send(other, head, from, length);
    if (to != from) std::memmove(to, from, length);
  }
  void reduce(Head head, const void* from, void* to, size_t count, int root) {
    const size_t length = count * widthOf(head.dtype);
    if (rank != root) return send(root, head, from, length);
    std::vector<float> sums(count, 0.0f);
    std::vector<unsigned char> terms(length);
    for (int other = 0; other < size; ++other) {
      if (other == rank)
        std::memcpy(terms.data(), from, length);
      else
        receive(other, head, terms.data(), length);
      for (size_t i = 0; i < count; ++i) sums[i] += valueOf(terms.data(), head.dtype, i);
    }
    for (size_t i = 0; i < count; ++i) store(to, head.dtype, i, sums[i]);
  }

  void perform(const Call& call) {
    const size_t length = call.count * widthOf(call.dtype);
    const Head head{call.op == kReceive ? kSend : call.op, call.dtype, call.count};
    switch (call.op) {
      case kReduce:
        return reduce(head, call.from, call.to, call.count, call.peer);
      case kAllReduce:
        reduce(head, call.from, call.to, call.count, 0);
        return broadcast(head, call.to, call.to, length, 0);
      case kBroadcast:
        return broadcast(head, call.from, call.to, length, call.peer);
      case kAllGather:
        for (int root = 0; root < size; ++root)
          broadcast(head, call.from, static_cast<unsigned char*>(call.to) + length * static_cast<size_t>(root), length,
                    root);
        return;
      case kSend:
        return send(call.peer, head, call.from, length);
      case kReceive:
        return receive(call.peer, head, call.to, length);
    }
  }
};

namespace {

using Shares = std::shared_ptr<CommData>;

std::mutex mutex;
/// Work on a stream holds its communicator, too.
std::map<Comm, Shares>& communicators = *new std::map<Comm, Shares>;
thread_local bool isGrouped = false;

Shares sharesOf(Comm comm) {
  const std::lock_guard lock(mutex);
  const auto found = communicators.find(comm);
  return found == communicators.end() ? nullptr : found->second;
}

Result forget(Comm comm) {
  const std::lock_guard lock(mutex);
  return communicators.erase(comm) > 0 ? kSuccess : kInvalidArgument;
}

/// The emulator's function that queues work on a stream; null where the engine runs on something else.
decltype(&hint_emulator_queue) queueOfEmulator() {
  const char* folder = std::getenv("HINT_CUDA_FOLDER");
  if (!folder) return nullptr;
  void* library = dlopen((std::string(folder) + "/hint_cuda.so").c_str(), RTLD_NOW | RTLD_NOLOAD);
  return library ? reinterpret_cast<decltype(&hint_emulator_queue)>(dlsym(library, "hint_emulator_queue")) : nullptr;
}

Result add(Comm comm, const Call& call, cudaStream_t stream) {
  const Shares shares = sharesOf(comm);
  const bool isRank = call.peer >= 0 && call.peer < (shares ? shares->size : 0);
  if (!shares || !isGrouped || !isRank || (call.op <= kAllReduce && call.dtype == kUint8)) return kInvalidArgument;
  shares->calls.push_back(call);
  shares->stream = stream;
  return kSuccess;
}

Result launch(const Shares& shares) {
  const auto queue = queueOfEmulator();
  if (!queue) return kSystemError;
  queue(shares->stream, [shares, calls = std::exchange(shares->calls, {})] {
    try {
      for (const Call& call : calls) shares->perform(call);
    } catch (const Aborted&) {
    }
  });
  return kSuccess;
}

}  // namespace

#define HINT_EXPORTED extern "C" __attribute__((visibility("default")))

HINT_EXPORTED Result ncclGetVersion(int* version) {
  *version = 22700;
  return kSuccess;
}
HINT_EXPORTED Result ncclGetUniqueId(UniqueId* id) {
  static std::atomic<int> made = 0;
  *id = {};
  const std::string name = "/hint-nccl-" + std::to_string(getpid()) + "-" + std::to_string(made++);
  std::memcpy(id->internal, name.c_str(), name.size());
  return kSuccess;
}
HINT_EXPORTED Result ncclCommInitRankConfig(Comm* comm, int ranks, UniqueId id, int rank, Config* config) {
  const Config expected;
  if (config->size != expected.size || config->magic != expected.magic || config->blocking != 0)
    return kInvalidArgument;
  if (rank < 0 || rank >= ranks) return kInvalidArgument;
  const auto shares = std::make_shared<CommData>();
  shares->name = id.internal;
  shares->rank = rank;
  shares->size = ranks;
  shares->bytes = sizeof(Shared) + sizeof(Channel) * static_cast<size_t>(ranks) * static_cast<size_t>(ranks);
  const int file = shm_open(shares->name.c_str(), O_RDWR | O_CREAT, 0600);
  if (file < 0) return kSystemError;
  void* memory = MAP_FAILED;
  if (ftruncate(file, static_cast<off_t>(shares->bytes)) == 0)
    memory = mmap(nullptr, shares->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) return kSystemError;
  shares->shared = static_cast<Shared*>(memory);
  if (++shares->shared->joined == ranks) shm_unlink(shares->name.c_str());
  const std::lock_guard lock(mutex);
  communicators[shares.get()] = shares;
  *comm = shares.get();
  return kInProgress;
}
HINT_EXPORTED Result ncclCommGetAsyncError(Comm comm, Result* state) {
  const Shares shares = sharesOf(comm);
  if (!shares) return kInvalidArgument;
  *state = shares->error;
  if (*state != kSuccess) return kSuccess;
  if (shares->shared->joined < shares->size) *state = kInProgress;
  // Launched by itself a little later, as of the real one.
  if (!shares->calls.empty()) {
    *state = kInProgress;
    if (++shares->looks % 2 == 0) *state = launch(shares);
  }
  return kSuccess;
}
HINT_EXPORTED Result ncclCommAbort(Comm comm) {
  const Shares shares = sharesOf(comm);
  if (!shares) return kInvalidArgument;
  shares->isAborted = true;
  return forget(comm);
}
HINT_EXPORTED Result ncclCommFinalize(Comm comm) { return sharesOf(comm) ? kInProgress : kInvalidArgument; }
HINT_EXPORTED Result ncclCommDestroy(Comm comm) { return forget(comm); }
HINT_EXPORTED const char* ncclGetErrorString(Result result) {
  return result == kInvalidArgument ? "invalid argument" : result == kSystemError ? "system error" : "some error";
}
HINT_EXPORTED const char* ncclGetLastError(Comm) { return "of the stand-in"; }
HINT_EXPORTED Result ncclGroupStart() {
  isGrouped = true;
  return kSuccess;
}
HINT_EXPORTED Result ncclGroupEnd() {
  isGrouped = false;
  return kInProgress;
}
HINT_EXPORTED Result ncclReduce(const void* from, void* to, size_t count, int dtype, int op, int root, Comm comm,
                                cudaStream_t stream) {
  return op == kSum ? add(comm, {kReduce, from, to, count, dtype, root}, stream) : kInvalidArgument;
}
HINT_EXPORTED Result ncclAllReduce(const void* from, void* to, size_t count, int dtype, int op, Comm comm,
                                   cudaStream_t stream) {
  return op == kSum ? add(comm, {kAllReduce, from, to, count, dtype, 0}, stream) : kInvalidArgument;
}
HINT_EXPORTED Result ncclBroadcast(const void* from, void* to, size_t count, int dtype, int root, Comm comm,
                                   cudaStream_t stream) {
  return add(comm, {kBroadcast, from, to, count, dtype, root}, stream);
}
HINT_EXPORTED Result ncclAllGather(const void* from, void* to, size_t count, int dtype, Comm comm,
                                   cudaStream_t stream) {
  return add(comm, {kAllGather, from, to, count, dtype, 0}, stream);
}
HINT_EXPORTED Result ncclSend(const void* from, size_t count, int dtype, int peer, Comm comm, cudaStream_t stream) {
  return add(comm, {kSend, from, nullptr, count, dtype, peer}, stream);
}
HINT_EXPORTED Result ncclRecv(void* to, size_t count, int dtype, int peer, Comm comm, cudaStream_t stream) {
  return add(comm, {kReceive, nullptr, to, count, dtype, peer}, stream);
}

#define HINT_CHECK(member, name) static_assert(std::is_same_v<decltype(Functions::member), decltype(&nccl##name)>);
HINT_NCCL_FUNCTIONS(HINT_CHECK)
#undef HINT_CHECK

}  // namespace hint::nccl
