#pragma once

#include <napi.h>

#include <memory>

#include "bindings/arguments.h"
#include "native/collectives/group.h"
#include "native/core/call.h"
#include "native/core/error.h"
#include "native/runtime/mapped_file.h"
#include "native/runtime/stream.h"
#include "native/runtime/trace.h"

namespace hint::binding {

/// What a JavaScript handle points to starts with what it is: a tag that costs a look-up and a comparison, where those
/// of Node-API cost a microsecond per tensor.
struct Handle {
  enum class Kind : uint64_t {
    tensor = 0x9c1df0a14be24a6b,
    device = 0x5b0e3c52a7a74f0d,
    call = 0xa2c4e0f31b6d9e22,
    file = 0x3d71f6c8905be41a,
    program = 0xe60b92d47ac1358f,
    group = 0x7fd2419b60c8ae35
  };
  Kind kind;
};

/// Releasing drops the buffer and keeps dtype and shape.
struct TensorHandle : Handle {
  static constexpr Kind kKind = Kind::tensor;
  Tensor tensor;
};

struct DeviceHandle : Handle {
  static constexpr Kind kKind = Kind::device;
  std::shared_ptr<Stream> stream;
  std::shared_ptr<Trace> trace;  ///< of a device that computes nothing
};

/// A call that waits for its backward pass, which takes it.
struct CallHandle : Handle {
  static constexpr Kind kKind = Kind::call;
  std::unique_ptr<Call> call;
  std::shared_ptr<Allocator> owner;  ///< of the device that it was enqueued on; goes with the call
};

/// A recording, which goes on or is replayed on its own device.
struct ProgramHandle : Handle {
  static constexpr Kind kKind = Kind::program;
  std::shared_ptr<Program> program;
  std::shared_ptr<Allocator> owner;
  bool isReplayed = false;  ///< the stream's thread may be reading it: it cannot grow any more
};

struct FileHandle : Handle {
  static constexpr Kind kKind = Kind::file;
  std::shared_ptr<MappedFile> file;
};

/// This process among those of its run.
struct GroupHandle : Handle {
  static constexpr Kind kKind = Kind::group;
  std::shared_ptr<Group> group;
};

/// The handles that this copy of the engine has made on the calling thread and that are not collected yet. Whatever
/// else JavaScript may hold, of another native module or of another copy of this one, is not looked into, not even for
/// a kind.
void enrol(const Handle* handle);
void strike(const Handle* handle);
bool isEnrolled(const void* pointer);

/// A handle of JavaScript's that goes with its last reference there.
template <typename Value>
Napi::Value wrapHandle(Napi::Env env, Value value) {
  value.kind = Value::kKind;
  auto made = std::make_unique<Value>(std::move(value));
  enrol(made.get());
  return Napi::External<Value>::New(env, made.release(), [](Napi::Env, Value* handle) {
    strike(handle);
    delete handle;
  });
}

/// Null when the handle is of another kind, or none of this engine.
template <typename Value>
Value* handleOrNull(const Napi::External<Value>& external) {
  auto* handle = external.Data();
  return isEnrolled(handle) && handle->kind == Value::kKind ? handle : nullptr;
}
/// Null when the value is no such handle.
template <typename Value>
Value* handleOrNull(const Napi::Value& value) {
  return value.IsExternal() ? handleOrNull(value.As<Napi::External<Value>>()) : nullptr;
}

/// Throws INVALID_ARGUMENT with `expected` when the value is no such handle.
template <typename Value>
Value& handleOf(const Napi::Value& value, const char* expected) {
  if (auto* handle = handleOrNull<Value>(value)) return *handle;
  fail("INVALID_ARGUMENT", expected);
}

Napi::Value wrap(Napi::Env env, Tensor tensor);
/// Throws INVALID_ARGUMENT when the value is no tensor handle.
TensorHandle& tensorOf(const Napi::Value& value);
/// Throws INVALID_ARGUMENT when the value is no device or the device was closed.
const std::shared_ptr<Stream>& sharedStreamOf(const Napi::Value& value);
inline Stream& streamOf(const Napi::Value& value) { return *sharedStreamOf(value); }

/// A handle to what the backward pass of a bound call starts from: the call, without the buffers that its kernel does
/// not read. From then on both know how the forward pass went. The call is one that `stream` is about to run. `spare`
/// is used for it where it is a handle of a call that is gone: the garbage collector has to look at every handle that
/// was ever made, and those of calls have to be destroyed by it.
Napi::Value wrapForBackward(Napi::Env env, Call& call, Stream& stream, const Napi::Value& spare);
/// A handle of a tensor that was released, to be used again; or none. JavaScript forgets those that it gives.
class Spare {
 public:
  Spare() = default;
  /// Throws INVALID_ARGUMENT when the value is neither absent nor a tensor handle.
  explicit Spare(const Napi::Value& handle);
  /// The handle, of this tensor now, or a new one where there is none or somebody uses it.
  Napi::Value wrap(Napi::Env env, const Tensor& tensor);

 private:
  Napi::Value handle_;
  Tensor* tensor_ = nullptr;  ///< of the handle, which is alive as long as it is here
};

/// What JavaScript has to know of an output beside its handle, as numbers in a row of this many: how many sides there
/// are (-1: the output is absent), the place of its dtype in the engine's list, and the sides.
constexpr size_t kNumbersOfOutput = 2 + kMostSides;
void describeTensor(const Tensor* tensor, double* numbers);

/// Fills call.attributes, which are the defaults, from values parallel to the spec; undefined leaves the default.
/// Throws INVALID_ARGUMENT naming op and attribute when a required one is missing or the kind is wrong.
void readAttributes(Call& call, const Arguments& values);
/// Reads tensors parallel to `arguments`; null is an absent one. Throws INVALID_ARGUMENT naming op and argument.
void readTensors(const Call& call, const Arguments& values, const std::vector<ArgSpec>& arguments,
                 std::vector<Tensor>& tensors, std::vector<bool>& present);

/// Throws what a device found out too late to stop the commands behind it, and marks it as reported.
void throwFirst(const Checks& checks, bool alsoReported);

/// The op table as JavaScript objects.
Napi::Value describeOps(Napi::Env env);

}  // namespace hint::binding
