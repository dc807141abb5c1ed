#include "native/runtime/cuda/completions.h"

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

cudaEvent_t Completions::record() {
  cudaEvent_t event = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (!events_.empty()) {
      event = events_.back();
      events_.pop_back();
    }
  }
  // A thread that waits for a blocking event sleeps; by default it would spin.
  if (!event && cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync) != cudaSuccess) {
    cudaGetLastError();
    return nullptr;
  }
  if (cudaEventRecord(event, stream_) == cudaSuccess) return event;
  cudaGetLastError();
  cudaEventDestroy(event);
  return nullptr;
}

void Completions::add(Backend::Then then) {
  cudaEvent_t event = record();
  // Without an event, wait for the whole stream. `then` still joins the queue, so that functions are called in order.
  const cudaError_t result = event ? cudaSuccess : cudaStreamSynchronize(stream_);
  {
    std::lock_guard lock(mutex_);
    queue_.push_back({event, result, std::move(then)});
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
    // A fault of a kernel first shows here, because the launch and the copy of its results had been accepted. Every
    // later wait fails at once; `then` must be called nevertheless.
    item.then(note(item.event ? cudaEventSynchronize(item.event) : item.result));
    item.then = nullptr;
    std::lock_guard lock(mutex_);
    if (item.event) events_.push_back(item.event);
  }
}

std::shared_ptr<const Error> Completions::note(cudaError_t code) {
  if (code != cudaSuccess) lose(lostDevice(code));
  const std::lock_guard lock(mutex_);
  return lost_;
}

void Completions::lose(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    if (lost_) return;
    lost_ = std::make_shared<Error>(error);
  }
  faults_->lose(lost_);
}

void Completions::requireDevice() {
  const std::lock_guard lock(mutex_);
  if (lost_) throw Error(*lost_);
}

}  // namespace hint::cuda
