#pragma once

#include <cuda_runtime.h>

#include "native/runtime/backend.h"
#include "native/runtime/cuda/check.h"

namespace hint::cuda {

/// A place in a CUDA stream.
class EventMark final : public Mark {
 public:
  EventMark(int device, cudaStream_t stream) : device_(device) {
    // A thread that waits for a blocking event sleeps; by default it would spin.
    check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming | cudaEventBlockingSync), "create an event");
    record(stream);
  }
  ~EventMark() override { cudaEventDestroy(event_); }
  EventMark(const EventMark&) = delete;
  EventMark& operator=(const EventMark&) = delete;

  void wait() override {
    check(cudaSetDevice(device_), "select the device");
    check(cudaEventSynchronize(event_), "wait for the device");
  }
  /// Whether wait() would return at once.
  bool isReached() {
    const cudaError_t code = cudaEventQuery(event_);
    if (code == cudaErrorNotReady) return false;
    check(code, "wait for the device");
    return true;
  }

 private:
  void record(cudaStream_t stream) {
    const cudaError_t code = cudaEventRecord(event_, stream);
    if (code == cudaSuccess) return;
    cudaEventDestroy(event_);
    failCall(code, "record an event");
  }

  const int device_;
  cudaEvent_t event_ = nullptr;
};

}  // namespace hint::cuda
