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
  std::shared_ptr<void> compiled;  ///< a backend's own form of the calls, such as a graph; null before the first replay
};

/// Throws INVALID_ARGUMENT when nothing has written the i32 scalar that ends a replay.
inline void requireStop(const Tensor& stop) {
  if (stop.buffer->isUnwritten())
    fail("INVALID_ARGUMENT",
         "The stop flag of a replay was never written; let the program write it, or give it a value.");
}

/// A place between two commands of a device.
class Mark {
 public:
  virtual ~Mark() = default;
  /// Returns once the device has done the commands before it. From any thread. Throws DEVICE_LOST.
  virtual void wait() = 0;
};

/// The operations of one kind of device, which a stream drives. After enter(), all members are called on the stream's
/// thread, and the device executes them in the order of the calls.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual DeviceType type() const = 0;
  /// Memory of this device. May outlive the backend.
  virtual std::unique_ptr<MemorySource> memory() const = 0;
  /// Called once, before every other member, on the stream's thread. Kernels take scratch memory from `allocator`.
  virtual void enter(std::shared_ptr<Allocator> allocator) = 0;
  /// Runs the kernel of a call whose buffers have memory. Throws what the kernel throws, and NOT_SUPPORTED when the op
  /// has no kernel here.
  virtual void run(Call& call) = 0;
  /// Copies from host memory, which may be reused on return.
  virtual void upload(void* to, const void* from, size_t bytes) = 0;
  /// Copies to host memory. The bytes are there when the function of a later whenDone is called.
  virtual void download(void* to, const void* from, size_t bytes) = 0;
  /// Calls `then`, on any thread, once all commands so far are done; does not wait. `then` gets the error when the
  /// device was lost before that, and null otherwise. After an error, results of those commands must not be used.
  using Then = std::function<void(const std::shared_ptr<const Error>&)>;
  virtual void whenDone(Then then) = 0;
  /// A mark behind all commands so far; null where a command is done when its call returns. May outlive the backend.
  virtual std::shared_ptr<Mark> mark() = 0;
  /// The checks of the kernels that ran since the last call, which only the device can make.
  virtual Checks takeChecks() = 0;
  /// Runs the program up to `times` times, until the i32 scalar `stop` (if given) is not zero, or until `cancel` is
  /// set, which is read between two calls.
  /// `runCall` runs one call with the stream's handling of failures.
  virtual void replay(Program& program, int times, const Tensor& stop, const std::atomic<bool>& cancel,
                      const std::function<void(Call&)>& runCall) = 0;
};

/// The backend of the CPU. Every member has done its work when it returns.
std::unique_ptr<Backend> hostBackend();

}  // namespace hint
