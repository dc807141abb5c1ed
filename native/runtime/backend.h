#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "native/core/call.h"
#include "native/core/deferred_check.h"
#include "native/core/error.h"
#include "native/runtime/allocator.h"

namespace hint {

/// A recorded sequence of commands that the stream can run again without the thread that recorded it.
struct Program {
  std::vector<std::unique_ptr<Call>> calls;
  std::shared_ptr<void> compiled;  ///< what the backend made of the calls, if anything
};

/// Throws INVALID_ARGUMENT when nobody wrote the i32 scalar that is to end a replay.
inline void requireStop(const Tensor& stop) {
  if (stop.buffer->isUnwritten())
    fail("INVALID_ARGUMENT",
         "The stop flag of a replay was never written; let the program write it, or give it a value.");
}

/// What a stream needs to know about the kind of device it drives. After enter(), everything is called on the stream's
/// thread and happens in the order of the calls.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual DeviceType type() const = 0;
  /// Memory of this device. May outlive the backend.
  virtual std::unique_ptr<MemorySource> memory() const = 0;
  /// Called once, first, on the stream's thread. Kernels take what they need for their own duration from `allocator`.
  virtual void enter(std::shared_ptr<Allocator> allocator) = 0;
  /// Runs the kernel of a call whose buffers exist. Throws what the kernel throws, NOT_SUPPORTED when there is none.
  virtual void run(Call& call) = 0;
  /// Copies from host memory, which may be reused on return.
  virtual void upload(void* to, const void* from, size_t bytes) = 0;
  /// Copies to host memory, which holds the bytes by the time of a whenDone that follows.
  virtual void download(void* to, const void* from, size_t bytes) = 0;
  /// Calls `then`, on some thread, once everything so far is done; never waits itself. `then` is given the error of a
  /// device that was lost before it got there, whose results are no values; null when all is well.
  using Then = std::function<void(const std::shared_ptr<const Error>&)>;
  virtual void whenDone(Then then) = 0;
  /// The checks that kernels run since the last call left to the device.
  virtual Checks takeChecks() = 0;
  /// Runs the program up to `times` times, until the i32 scalar `stop` (if given) is not zero; `cancel` ends it between
  /// two calls.
  /// `runCall` is the stream's way of running one call, with its handling of failures.
  virtual void replay(Program& program, int times, const Tensor& stop, const std::atomic<bool>& cancel,
                      const std::function<void(Call&)>& runCall) = 0;
};

/// The backend of the CPU: kernels run in place, copies are copies, everything is done when it returns.
std::unique_ptr<Backend> hostBackend();

}  // namespace hint
