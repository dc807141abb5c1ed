#include "native/runtime/cuda/completions.h"

#include <string>
#include <utility>

#include "native/runtime/cuda/check.h"

namespace hint::cuda {

Completions::Completions(int device, cudaStream_t stream, std::shared_ptr<Faults> faults)
    : device_(device), stream_(stream), faults_(std::move(faults)) {
  thread_ = std::thread([this] { loop(); });
}

Completions::~Completions() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_one();
  thread_.join();
  for (cudaEvent_t event : events_) cudaEventDestroy(event);
}

void Completions::add(Backend::Then then) {
  cudaEvent_t event = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (!events_.empty()) {
      event = events_.back();
      events_.pop_back();
    }
  }
  // A thread that waits for a blocking event sleeps; by default it would spin.
  cudaError_t code =
      event ? cudaSuccess : cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync);
  if (code == cudaSuccess) code = cudaEventRecord(event, stream_);
  if (code != cudaSuccess) {
    if (event) {
      std::lock_guard lock(mutex_);
      events_.push_back(event);
    }
    // Whoever waits must be called all the same.
    then(note(code));
    return;
  }
  {
    std::lock_guard lock(mutex_);
    queue_.push_back({event, std::move(then)});
  }
  ready_.notify_one();
}

void Completions::loop() {
  cudaSetDevice(device_);
  for (;;) {
    Item item;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      item = std::move(queue_.front());
      queue_.pop_front();
    }
    // A kernel that faults is first seen here: its launch had succeeded, and so had the copy of its results behind it.
    // After that the wait fails at once; whoever waits must be called all the same.
    item.then(note(cudaEventSynchronize(item.event)));
    item.then = nullptr;
    std::lock_guard lock(mutex_);
    events_.push_back(item.event);
  }
}

std::shared_ptr<const Error> Completions::note(cudaError_t code) {
  std::shared_ptr<const Error> lost;
  {
    const std::lock_guard lock(mutex_);
    if (code != cudaSuccess && !lost_)
      lost_ = std::make_shared<Error>(
          "DEVICE_LOST",
          "The CUDA device " + std::to_string(device_) + " is lost: " + cudaGetErrorString(code) +
              ". Nothing on it can be read or run any more; start the process again. To find the kernel, set "
              "CUDA_LAUNCH_BLOCKING=1 or run it under compute-sanitizer.");
    lost = lost_;
  }
  if (lost) faults_->lose(lost);
  return lost;
}

void Completions::requireDevice() {
  const std::lock_guard lock(mutex_);
  if (lost_) throw Error(*lost_);
}

}  // namespace hint::cuda
