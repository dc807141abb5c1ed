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

/// For kernels; a template so that host code, which has no atomicMin, can include this.
template <typename Word>
__device__ inline void reportFault(Word* word, uint32_t position, int32_t value) {
  atomicMin(word, (Word{position} << 32) | static_cast<uint32_t>(value));
}

/// Turns a report into the sentence that the CPU's kernel would have thrown.
using FaultText = std::function<Error(int64_t position, int32_t value)>;

/// Fault words of a stream and the host's view of them. A group has words for 64 commands, whose kernels may write
/// them; `publish` copies all of a group into memory that the host sees, behind the kernels on the stream. Nobody ever
/// waits. On the stream's thread, but for what is asked of a group.
class Faults : public std::enable_shared_from_this<Faults> {
 public:
  class Group;
  explicit Faults(cudaStream_t stream);
  ~Faults();
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  /// A group without commands. Waits for the stream only when all are taken. While a graph is captured, nothing is
  /// queued for it.
  std::shared_ptr<Group> take(bool capturing);
  /// Queues the copy behind what is on the stream; until it is done, the group is not settled. A group whose commands
  /// run again, in a graph, is published again.
  void publish(Group& group);
  /// Settles what the device has not published and never will: those commands have failed with the error of a lost
  /// device.
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
    uint32_t expected;  ///< its last publication; 0: there was none
  };

  const cudaStream_t stream_;
  FaultWord* words_ = nullptr;      ///< on the device
  Published* published_ = nullptr;  ///< on the host
  std::mutex mutex_;
  std::shared_ptr<const Error> lost_;
  std::atomic<bool> isLost_{false};
  /// Groups in use by nobody. Those with a fault, or of which nobody knows, are cleared before their next use.
  std::vector<int> clean_, stained_;
  std::vector<Returned> returned_;  ///< groups that nobody looks at any more, but that the device may still write
};

class Faults::Group final : public DeferredCheck {
 public:
  Group(std::shared_ptr<Faults> faults, int index) : faults_(std::move(faults)), index_(index) {}
  ~Group() override;
  bool settled() override;
  std::shared_ptr<const Error> error(uint64_t commands) override;

  bool isFull() const { return count_ == kCommands; }
  /// The word of another command, and its bit.
  std::pair<FaultWord*, uint64_t> add(FaultText text);

 private:
  friend class Faults;
  Published& published() const { return faults_->published_[index_]; }

  const std::shared_ptr<Faults> faults_;
  const int index_;
  int count_ = 0;
  std::array<FaultText, kCommands> texts_;
  std::array<std::shared_ptr<const Error>, kCommands> errors_;  ///< those asked for so far
  std::atomic<uint32_t> expected_{1};                           ///< number of the publication that settles it
  bool isPublished_ = false;
};

}  // namespace hint::cuda
