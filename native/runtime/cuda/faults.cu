#include "native/runtime/cuda/check.h"
#include "native/runtime/cuda/faults.h"

namespace hint::cuda {
namespace {

__global__ void publishKernel(const FaultWord* word, volatile FaultWord* published, volatile uint32_t* sequence,
                              uint32_t number) {
  *published = *word;
  __threadfence_system();
  *sequence = number;
}

}  // namespace

Faults::Faults(cudaStream_t stream) : Faults(stream, Empty()) {
  check(cudaMalloc(&words_, kWords * sizeof(FaultWord)), "allocate fault words");
  check(cudaMemset(words_, 0xFF, kWords * sizeof(FaultWord)), "clear fault words");
  check(cudaHostAlloc(&published_, kWords * sizeof(Published), cudaHostAllocMapped | cudaHostAllocPortable),
        "allocate published fault words");
  for (int i = kWords - 1; i >= 0; --i) {
    published_[i].word = kNoFault;
    published_[i].sequence = 0;
    free_.push_back(i);
  }
}

Faults::~Faults() {
  cudaFree(words_);
  cudaFreeHost(published_);
}

std::shared_ptr<Faults::Check> Faults::take(FaultText text) {
  const auto tryTake = [&]() -> std::shared_ptr<Check> {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) {
      // A word that holds a fault is not used again: there are thousands, and faults are rare.
      std::vector<std::pair<int, uint32_t>> waiting;
      for (const auto& [index, expected] : returned_)
        if (published_[index].sequence != expected)
          waiting.emplace_back(index, expected);
        else if (published_[index].word == kNoFault)
          free_.push_back(index);
      returned_ = std::move(waiting);
    }
    if (free_.empty()) return nullptr;
    const int index = free_.back();
    free_.pop_back();
    published_[index].sequence = 0;
    return std::make_shared<Check>(shared_from_this(), index, std::move(text));
  };
  if (auto taken = tryTake()) return taken;
  // The words of earlier commands come back when the device is done with them.
  check(cudaStreamSynchronize(stream_), "wait for the stream");
  if (auto taken = tryTake()) return taken;
  fail("OUT_OF_MEMORY", "All ", kWords, " fault words of the device are in use; dispose results of earlier commands.");
}

void Faults::publish(Check& check) {
  Published* to = nullptr;
  hint::cuda::check(cudaHostGetDevicePointer(reinterpret_cast<void**>(&to), published_ + check.index_, 0),
                    "map the published fault words");
  uint32_t number;
  {
    const std::lock_guard lock(mutex_);
    number = ++check.expected_;
  }
  publishKernel<<<1, 1, 0, stream_>>>(check.word(), &to->word, &to->sequence, number);
  launched();
}

void Faults::lose(std::shared_ptr<const Error> error) {
  const std::lock_guard lock(mutex_);
  lost_ = std::move(error);
}

Faults::Check::~Check() {
  const std::lock_guard lock(faults_->mutex_);
  faults_->returned_.emplace_back(index_, expected_);
}

bool Faults::Check::settled() {
  const std::lock_guard lock(faults_->mutex_);
  return faults_->lost_ || faults_->published_[index_].sequence == expected_;
}

std::shared_ptr<const Error> Faults::Check::error() {
  const std::lock_guard lock(faults_->mutex_);
  if (error_) return error_;
  const Published& published = faults_->published_[index_];
  if (published.sequence != expected_) return faults_->lost_;
  if (published.word == kNoFault) return nullptr;
  const FaultWord word = published.word;
  error_ = std::make_shared<Error>(text_(static_cast<int64_t>(word >> 32), static_cast<int32_t>(word)));
  return error_;
}

}  // namespace hint::cuda
