#include "native/runtime/cuda/completions.h"

#include "native/runtime/cuda/check.h"

namespace hint::cuda {

Completions::Completions(int device, cudaStream_t stream) : device_(device), stream_(stream) {
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

void Completions::add(std::function<void()> then) {
  cudaEvent_t event = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (!events_.empty()) {
      event = events_.back();
      events_.pop_back();
    }
  }
  // A thread that waits for a blocking event sleeps; by default it would spin.
  const bool made =
      event || cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync) == cudaSuccess;
  if (!made || cudaEventRecord(event, stream_) != cudaSuccess) {
    // The device is lost. Whoever waits must be called all the same; the commands themselves have reported it.
    then();
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
    // After a sticky error the wait fails at once; whoever waits must be called all the same and will see the error.
    cudaEventSynchronize(item.event);
    item.then();
    item.then = nullptr;
    std::lock_guard lock(mutex_);
    events_.push_back(item.event);
  }
}

}  // namespace hint::cuda
