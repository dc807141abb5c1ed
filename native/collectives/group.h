#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "native/collectives/communicator.h"
#include "native/core/tensor.h"
#include "native/runtime/stream.h"

namespace hint {

/// What ranks do together with tensors; see Communicator.
enum class Collective : uint8_t { reduce, allReduce, broadcast, gather };

/// A tensor that all ranks have, and the rank that has, or gets, its result.
struct SharedTensor {
  Tensor tensor;
  int owner;
};

/// This process among those of its run. A thread of its own does what the ranks do together, one after the other, so
/// that a device computes meanwhile and one thread alone calls the library below. Collectives are commands of a stream:
/// start() hands tensors over once what was enqueued before has run, finish() makes the stream wait for what was
/// started. All ranks enqueue the same, and one stream at a time does.
class Group {
 public:
  using Join = std::function<std::unique_ptr<Communicator>(const Interrupt&)>;
  /// Starts the thread, which calls `join` first.
  explicit Group(Join join);
  /// Ends waits, and the thread. One that still waits for others to join is left to itself.
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  /// Has the thread join the ranks once more, for tensors of another kind of device; see post for the rest.
  using Then = std::function<void(const std::shared_ptr<const Error>&)>;
  void add(std::string what, Join join, Then then);

  /// Runs `work` with what the group began with, on its thread. Where the group is broken, or breaks in it, `then` gets
  /// the error; it gets null otherwise. `what` completes "waits to ...".
  void post(std::string what, std::function<void(Communicator&)> work, Then then);

  /// Queues a collective. `root` is for gather alone. Throws INVALID_ARGUMENT for tensors that are not the stream's,
  /// for owners that are no ranks and for sums of integers, NOT_SUPPORTED where the
  /// ranks have joined for no device of the stream's kind.
  void start(Stream& stream, Collective kind, std::vector<SharedTensor> tensors, int root, std::string what);
  /// Queues a wait for all that was started on the stream. What a broken group should have written fails with its
  /// error.
  void finish(Stream& stream);

  /// Ends waits, now and in future, with `error`; the first one counts. From any thread.
  void interrupt(std::shared_ptr<const Error> error);
  /// Ranks of the run, 0 before this process has joined.
  int size() const;
  /// What the thread does now, and for how long; empty while it does nothing. From any thread.
  struct Activity {
    std::string what;
    double seconds = 0;
  };
  Activity activity() const;
  /// Seconds since the group began that its thread has worked together with others, or waited for them, and those of
  /// them that a stream waited for. From any thread.
  struct Times {
    double communication = 0, exposed = 0;
  };
  Times times() const;
  /// A stretch of what times() adds up, in seconds of the steady clock.
  struct Interval {
    std::string what;
    bool isExposed;
    double begin, end;
  };
  /// The intervals since they were recorded, or last taken; `isRecorded` says whether further ones will be.
  std::vector<Interval> takeIntervals(bool isRecorded);

 private:
  std::vector<DeviceType> types() const;
  struct State;
  static void run(State& state, const Join& first);
  std::shared_ptr<State> state_;
};

}  // namespace hint
