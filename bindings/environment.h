#pragma once

#include <napi.h>

#include <functional>
#include <memory>

#include "native/runtime/error.h"
#include "native/runtime/stream.h"

/// What one Node environment (main thread or worker) owns: the road back from stream threads to its JavaScript.
namespace hint::binding {

class Environment {
 public:
  explicit Environment(Napi::Env env);

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  /// The one way anything asynchronous is answered. `work` runs on the stream's thread and returns the function that,
  /// back on the JavaScript thread and once the device has done what was enqueued, makes the value; a hint::Error
  /// thrown by either rejects the promise.
  using Finish = std::function<Napi::Value(Napi::Env)>;
  Napi::Promise promise(Napi::Env env, Stream& stream, std::function<Finish()> work);

 private:
  struct Answer {
    Napi::Promise::Deferred deferred;
    Finish finish;
    std::shared_ptr<const Error> error;
  };
  struct Pending;
  void deliver(Napi::Env env, Answer* answer);

  Napi::ThreadSafeFunction toJavaScript_;
  int pending_ = 0;
};

/// An Error object with the `code` of the native error.
Napi::Error toJavaScript(Napi::Env env, const Error& error);

}  // namespace hint::binding
