#pragma once

#include <cuda_runtime.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "native/core/deferred_check.h"

namespace hint::cuda {

/// A word of device memory into which a kernel reports values it cannot accept: the smallest
/// (position << 32 | value) wins, so that the report does not depend on the order of threads. All ones: no fault.
using FaultWord = unsigned long long;
constexpr FaultWord kNoFault = ~FaultWord{0};

/// Reports a fault from a kernel. It is a template so that host code, which has no atomicMin, can include this header.
template <typename Word>
__device__ inline void reportFault(Word* word, uint32_t position, int32_t value) {
  atomicMin(word, (Word{position} << 32) | static_cast<uint32_t>(value));
}

/// Turns a report into the sentence that the CPU's kernel would have thrown.
using FaultText = std::function<Error(int64_t position, int32_t value)>;

/// The fault words of a stream and their copies in host memory. A group has one word for each of 64 commands. `publish`
/// queues a copy of all words of a group to host memory after the kernels on the stream, so that the host reads them
/// without waiting. All members are called on the stream's thread; those of a group on any thread.
class Faults : public std::enable_shared_from_this<Faults> {
 public:
  class Group;
  explicit Faults(cudaStream_t stream);
  ~Faults();
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  /// Takes a group without commands. Waits for the stream only when all groups are taken. With `capturing`, queues
  /// nothing on the stream.
  std::shared_ptr<Group> take(bool capturing);
  /// Queues the copy of a group's words; the group is settled when the copy is done. Each run of a graph must publish
  /// the groups of its commands again.
  void publish(Group& group);
  /// Settles all groups that a lost device did not publish: their commands have failed with `error`.
  void lose(std::shared_ptr<const Error> error);

 private:
  friend class Group;
  void free();
  static constexpr int kGroups = 1024, kCommands = 64;
  /// Written by the device.
  struct Published {
    volatile FaultWord words[kCommands];
    volatile uint32_t anyFault, sequence;
  };
  struct Returned {
    int index;
    uint32_t expected;  ///< number of its last publication; 0: none
  };

  const cudaStream_t stream_;
  FaultWord* words_ = nullptr;      ///< on the device
  Published* published_ = nullptr;  ///< on the host
  std::mutex mutex_;
  std::shared_ptr<const Error> lost_;
  std::atomic<bool> isLost_{false};
  /// Free groups. The words of stained ones hold a fault, or may hold one, and are cleared before the next use.
  std::vector<int> clean_, stained_;
  std::vector<Returned> returned_;  ///< groups that nothing reads any more but that the device may still write
};

class Faults::Group final : public DeferredCheck {
 public:
  Group(std::shared_ptr<Faults> faults, int index) : faults_(std::move(faults)), index_(index) {}
  ~Group() override;
  bool settled() override;
  std::shared_ptr<const Error> error(uint64_t commands) override;

  bool isFull() const { return count_ == kCommands; }
  /// Adds a command to the group. Returns its word and its bit.
  std::pair<FaultWord*, uint64_t> add(FaultText text);

 private:
  friend class Faults;
  Published& published() const { return faults_->published_[index_]; }

  const std::shared_ptr<Faults> faults_;
  const int index_;
  int count_ = 0;
  std::array<FaultText, kCommands> texts_;
  std::array<std::shared_ptr<const Error>, kCommands> errors_;  ///< errors that were asked for so far
  std::atomic<uint32_t> expected_{1};                           ///< number of the publication that settles it
  bool isPublished_ = false;
};

}  // namespace hint::cuda
