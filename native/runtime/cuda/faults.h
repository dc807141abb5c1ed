#pragma once

#include <cuda_runtime.h>

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

/// Fault words of a stream and the host's view of them. A check takes a word, the kernel may write it, `publish` copies
/// it into memory that the host sees, behind the kernel on the stream; nobody ever waits.
class Faults : public std::enable_shared_from_this<Faults> {
 public:
  class Check;
  explicit Faults(cudaStream_t stream);
  ~Faults();
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  /// A new check and the word for its kernel. Waits for the stream only when all words are taken.
  std::shared_ptr<Check> take(FaultText text);
  /// Queues the copy behind what is on the stream; until it is done, the check is not settled.
  void publish(Check& check);
  /// Settles what the device has not published and never will: its checks have failed with the error of a lost device.
  void lose(std::shared_ptr<const Error> error);

 private:
  friend class Check;
  struct Empty {};
  /// What a constructor that goes on from here has taken is given back when it throws.
  Faults(cudaStream_t stream, Empty) : stream_(stream) {}

  static constexpr int kWords = 4096;
  struct Published {
    volatile FaultWord word;
    volatile uint32_t sequence;
  };

  const cudaStream_t stream_;
  FaultWord* words_ = nullptr;      ///< on the device
  Published* published_ = nullptr;  ///< on the host, written by the device
  std::mutex mutex_;
  std::shared_ptr<const Error> lost_;
  std::vector<int> free_;
  std::vector<std::pair<int, uint32_t>> returned_;  ///< words nobody looks at any more, and their last publication
};

class Faults::Check final : public DeferredCheck {
 public:
  Check(std::shared_ptr<Faults> faults, int index, FaultText text)
      : faults_(std::move(faults)), index_(index), text_(std::move(text)) {}
  ~Check() override;
  bool settled() override;
  std::shared_ptr<const Error> error() override;
  /// Where the kernel reports.
  FaultWord* word() const { return faults_->words_ + index_; }

 private:
  friend class Faults;
  const std::shared_ptr<Faults> faults_;
  const int index_;
  const FaultText text_;
  uint32_t expected_ = 0;  ///< sequence number of the last publication asked for
  std::shared_ptr<const Error> error_;
};

}  // namespace hint::cuda
