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

/// Runs functions on a thread of its own once a stream has come so far: how promises settle without anybody polling.
class Completions {
 public:
  /// `faults` are told when the device is lost: their checks are never settled by it.
  Completions(int device, cudaStream_t stream, std::shared_ptr<Faults> faults);
  /// Waits for the stream and runs what is left.
  ~Completions();
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;

  /// Calls `then` once all work now on the stream is done, at once when the device is lost. Never throws, and waits
  /// only where the runtime has no event.
  void add(Backend::Then then);
  /// Throws DEVICE_LOST once a wait for the device has failed: no command can run there any more.
  void requireDevice();
  /// The device is lost, as a call other than a wait has found.
  void lose(const Error& error);

 private:
  struct Item {
    cudaEvent_t event;  ///< null: what is waited for was waited for already, with this result
    cudaError_t result;
    Backend::Then then;
  };
  void loop();
  /// Keeps the first error for good and gives it; null when there was none.
  std::shared_ptr<const Error> note(cudaError_t code);
  /// An event behind what is on the stream; null where the runtime gives none.
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
