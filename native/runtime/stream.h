#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "native/core/call.h"
#include "native/runtime/backend.h"

namespace hint {

/// Counts of the commands that a stream has executed, for tests, the bench and FLOP accounting.
struct StreamStats {
  uint64_t commands = 0;
  double flops = 0;
};

/// A device's queue, executed in order by one native thread. Enqueuing never waits. See law 3.
class Stream {
 public:
  /// A stream of the CPU. `threads` 0 means every core; `memoryLimit` in bytes, 0 means none.
  explicit Stream(int threads = 0, size_t memoryLimit = 0);
  /// A stream of the device that `backend` drives.
  explicit Stream(std::unique_ptr<Backend> backend, int threads = 0, size_t memoryLimit = 0);
  /// Calls stop().
  ~Stream();
  /// Finishes the running command, drops the rest of the queue and joins the thread. Commands that are queued later are
  /// dropped. Call on the thread that enqueues.
  void stop();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// A buffer whose memory is taken when the first command writes it.
  std::shared_ptr<Buffer> buffer(size_t bytes);
  /// A call of `op` with the default attributes and nothing else, to be filled in: one that has run, where there is
  /// one, whose lists keep their memory. Call on the thread that enqueues.
  std::unique_ptr<Call> call(const OpSpec& op);

  /// Throws INVALID_ARGUMENT, naming the tensor as `what`, when it was released or is of another device.
  void requireOwn(const Tensor& tensor, const std::string& what) const;
  /// Throws INVALID_ARGUMENT when a tensor of the call was released or belongs to another device.
  void requireOwn(const Call& call) const;
  /// Queues a copy of `source` into the memory of `destination`. Throws INVALID_SHAPE when dtypes or shapes differ, and
  /// INVALID_ARGUMENT for tensors that requireOwn refuses or that overlap without being the same.
  void assign(const Tensor& destination, const Tensor& source);
  /// Queues a bound call. Output buffers are created here. While recording, the call joins the program instead.
  void enqueue(std::unique_ptr<Call> call);
  /// Queues any work: host copies, callbacks. Runs even after failures; never recorded.
  void post(std::function<void()> task);
  /// Queues a copy of host bytes into a tensor, from byte `offset` on.
  void write(Tensor tensor, size_t offset, std::vector<uint8_t> bytes);
  /// Copies a tensor to `to`; the bytes are there when the function of a later whenDone is called. Throws the tensor's
  /// error. Call on the stream's thread.
  void read(const Tensor& tensor, void* to) {
    // A tensor whose command failed may have no memory.
    if (const auto failure = tensor.buffer->knownFailure()) throw Error(*failure);
    backend_->download(to, addressOf(tensor), tensor.bytes());
    if (const auto failure = tensor.buffer->knownFailure()) throw Error(*failure);
  }
  /// Calls `then`, on any thread, once all commands so far are done, with the error of a lost device or null. Call on
  /// the stream's thread.
  void whenDone(Backend::Then then) { backend_->whenDone(std::move(then)); }

  /// A mark behind all commands so far, or null; see Backend::mark. Call on the stream's thread.
  std::shared_ptr<Mark> mark() { return backend_->mark(); }

  void beginRecording();
  std::shared_ptr<Program> endRecording();
  /// Continues a recording that endRecording returned. Nothing may be recording.
  void resumeRecording(std::shared_ptr<Program> program);
  /// Runs the program up to `times` times; stops early once the i32 scalar `stop` (if given) is non-zero. Throws
  /// INVALID_ARGUMENT while recording.
  void replay(std::shared_ptr<Program> program, int times, Tensor stop);

  /// The first error since the last call, for callers that wait for no tensor; null when there was none. Call on the
  /// stream's thread.
  std::shared_ptr<const Error> takeFailure();
  /// The checks since the last call that can still fail. Call on the stream's thread.
  Checks takeChecks() { return std::exchange(openChecks_, {}); }

  void setThreads(int threads);
  Allocator& allocator() { return *allocator_; }
  const std::shared_ptr<Allocator>& sharedAllocator() { return allocator_; }
  StreamStats stats() const;
  size_t queued() const;

  DeviceType type() const { return type_; }
  /// Runs one bound call on the CPU, on the calling thread, for native tests and the bench.
  static void execute(Call& call);

 private:
  /// A call to run, or anything else to do.
  struct Command {
    std::unique_ptr<Call> call;
    std::function<void()> task;
  };
  void push(Command command);
  void loop();
  /// On the stream's thread, before it sleeps because nothing is queued: looks out for the next command for some
  /// microseconds, where the device is no CPU. To wake a thread takes the one that enqueues several; a CPU has better
  /// to do than to wait, and its commands take longer than to enqueue.
  void lookOut(std::unique_lock<std::mutex>& lock) const;
  void run(Call& call);
  void collectChecks(Call& call);

  std::unique_ptr<Backend> backend_;  ///< null after stop()
  const DeviceType type_;
  std::shared_ptr<Allocator> allocator_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::atomic<uint64_t> pushed_{0};  ///< commands that were ever queued
  std::deque<Command> queue_;
  std::vector<std::unique_ptr<Call>> done_;  ///< calls that have run, which are used again
  /// Those that the thread that enqueues has taken over, by op: another op's have lists of other lengths.
  std::unordered_map<const OpSpec*, std::vector<std::unique_ptr<Call>>> spares_;
  std::shared_ptr<Program> recording_;
  std::shared_ptr<const Error> failure_;
  Checks openChecks_;
  // Written by the stream's thread, read by any.
  std::atomic<uint64_t> commands_{0};
  std::atomic<double> flops_{0};
  std::atomic<bool> stopping_ = false;
  int threads_;
  std::thread worker_;
};

}  // namespace hint
