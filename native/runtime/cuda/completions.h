#pragma once

#include <cuda_runtime.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace hint::cuda {

/// Runs functions on a thread of its own once a stream has come so far: how promises settle without anybody polling.
class Completions {
 public:
  Completions(int device, cudaStream_t stream);
  /// Waits for the stream and runs what is left.
  ~Completions();
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;

  /// Calls `then` once all work now on the stream is done, at once when the device is lost. Never waits, never throws.
  void add(std::function<void()> then);

 private:
  struct Item {
    cudaEvent_t event;
    std::function<void()> then;
  };
  void loop();

  const int device_;
  const cudaStream_t stream_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Item> queue_;
  std::vector<cudaEvent_t> events_;  ///< for reuse
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace hint::cuda
