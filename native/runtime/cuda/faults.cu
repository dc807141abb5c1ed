#include "native/runtime/cuda/check.h"
#include "native/runtime/cuda/faults.h"

namespace hint::cuda {
namespace {

/// Copies fault words to host memory, one per thread.
__global__ void publishKernel(const FaultWord* words, volatile FaultWord* published, volatile uint32_t* anyFault,
                              volatile uint32_t* sequence, uint32_t number) {
  const FaultWord word = words[threadIdx.x];
  published[threadIdx.x] = word;
  __threadfence_system();
  const int any = __syncthreads_or(word != kNoFault);
  if (threadIdx.x > 0) return;
  *anyFault = any;
  __threadfence_system();
  *sequence = number;
}

}  // namespace

Faults::Faults(cudaStream_t stream) : stream_(stream) {
  constexpr size_t kBytes = sizeof(FaultWord) * kGroups * kCommands;
  try {
    check(cudaMalloc(&words_, kBytes), "allocate fault words");
    check(cudaMemsetAsync(words_, 0xFF, kBytes, stream_), "clear fault words");
    check(cudaHostAlloc(&published_, kGroups * sizeof(Published), cudaHostAllocMapped | cudaHostAllocPortable),
          "allocate published fault words");
  } catch (...) {
    free();
    throw;
  }
  for (int i = kGroups - 1; i >= 0; --i) clean_.push_back(i);
}

Faults::~Faults() { free(); }

void Faults::free() {
  cudaFree(words_);
  cudaFreeHost(published_);
}

std::shared_ptr<Faults::Group> Faults::take(bool capturing) {
  const auto tryTake = [&]() -> std::shared_ptr<Group> {
    const std::lock_guard lock(mutex_);
    if (clean_.empty()) {
      std::vector<Returned> waiting;
      for (const Returned& one : returned_) {
        const Published& published = published_[one.index];
        if (one.expected != 0 && published.sequence != one.expected)
          waiting.push_back(one);
        else
          (one.expected == 0 || published.anyFault ? stained_ : clean_).push_back(one.index);
      }
      returned_ = std::move(waiting);
    }
    if (clean_.empty() && !stained_.empty() && !capturing) {
      check(cudaMemsetAsync(words_ + stained_.back() * kCommands, 0xFF, kCommands * sizeof(FaultWord), stream_),
            "clear fault words");
      clean_.push_back(stained_.back());
      stained_.pop_back();
    }
    if (clean_.empty()) return nullptr;
    const int index = clean_.back();
    clean_.pop_back();
    published_[index].anyFault = 0;
    published_[index].sequence = 0;
    return std::make_shared<Group>(shared_from_this(), index);
  };
  if (auto taken = tryTake()) return taken;
  // After this wait the groups of earlier commands can be reused.
  if (!capturing) check(cudaStreamSynchronize(stream_), "wait for the stream");
  if (auto taken = tryTake()) return taken;
  fail("OUT_OF_MEMORY", "All ", kGroups, " groups of fault words of the device are in use; dispose results of earlier ",
       "commands.");
}

void Faults::publish(Group& group) {
  Published* to = nullptr;
  check(cudaHostGetDevicePointer(reinterpret_cast<void**>(&to), published_ + group.index_, 0),
        "map the published fault words");
  const uint32_t number = group.isPublished_ ? group.expected_ + 1 : 1;
  group.expected_ = number;
  publishKernel<<<1, kCommands, 0, stream_>>>(words_ + group.index_ * kCommands, &to->words[0], &to->anyFault,
                                              &to->sequence, number);
  launched();
  group.isPublished_ = true;
}

void Faults::lose(std::shared_ptr<const Error> error) {
  const std::lock_guard lock(mutex_);
  lost_ = std::move(error);
  isLost_ = true;
}

Faults::Group::~Group() {
  const std::lock_guard lock(faults_->mutex_);
  faults_->returned_.push_back({index_, isPublished_ ? expected_.load() : 0});
}

std::pair<FaultWord*, uint64_t> Faults::Group::add(FaultText text) {
  const int at = count_++;
  texts_[static_cast<size_t>(at)] = std::move(text);
  return {faults_->words_ + index_ * kCommands + at, uint64_t{1} << at};
}

bool Faults::Group::settled() { return faults_->isLost_ || published().sequence == expected_; }

std::shared_ptr<const Error> Faults::Group::error(uint64_t commands) {
  const bool isPublished = published().sequence == expected_;
  // The device writes the words before the sequence number, so they must be read after it.
  std::atomic_thread_fence(std::memory_order_acquire);
  if (isPublished && !published().anyFault) return nullptr;
  if (!isPublished && !faults_->isLost_) return nullptr;
  const std::lock_guard lock(faults_->mutex_);
  for (size_t i = 0; i < kCommands; ++i) {
    if (!(commands >> i & 1)) continue;
    if (errors_[i]) return errors_[i];
    if (!isPublished) continue;
    const FaultWord word = published().words[i];
    if (word == kNoFault) continue;
    errors_[i] = std::make_shared<Error>(texts_[i](static_cast<int64_t>(word >> 32), static_cast<int32_t>(word)));
    return errors_[i];
  }
  return isPublished ? nullptr : faults_->lost_;
}

}  // namespace hint::cuda
