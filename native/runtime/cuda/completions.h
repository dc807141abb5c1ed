#pragma once

#include <cuda_runtime.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "native/runtime/backend.h"
#include "native/runtime/cuda/faults.h"

namespace hint::cuda {

/// Calls functions on its own thread once a stream has done the work queued before them, so that promises settle
/// without polling.
class Completions {
 public:
  /// `faults` gets the error when the device is lost, because the device then never settles its checks.
  Completions(int device, cudaStream_t stream, std::shared_ptr<Faults> faults);
  /// Waits for the stream and calls the remaining functions.
  ~Completions();
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;

  /// Calls `then` once all work that is on the stream now is done, or at once when the device is lost. Never throws.
  /// Waits for the stream only when CUDA cannot create an event.
  void add(Backend::Then then);
  /// Throws DEVICE_LOST when a wait for the device has failed, because no command can run there any more.
  void requireDevice();
  /// Notes that a call other than a wait has found the device lost.
  void lose(const Error& error);

 private:
  struct Item {
    cudaEvent_t event;  ///< null: the wait is over, with this result
    cudaError_t result;
    Backend::Then then;
  };
  void loop();
  /// Notes the result of a wait. Returns the first error that was ever noted; null when there was none.
  std::shared_ptr<const Error> note(cudaError_t code);
  /// An event recorded on the stream now; null when CUDA cannot create one.
  cudaEvent_t record();

  const int device_;
  const cudaStream_t stream_;
  const std::shared_ptr<Faults> faults_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Item> queue_;
  std::vector<cudaEvent_t> events_;  ///< for reuse
  std::shared_ptr<const Error> lost_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace hint::cuda
