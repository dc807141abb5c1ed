#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "native/collectives/group.h"
#include "native/core/error.h"
#include "native/runtime/stream.h"

/// What one Node environment (main thread or worker) owns: its streams, and the road back from their threads to its
/// JavaScript.
namespace hint::binding {

class Environment {
 public:
  explicit Environment(Napi::Env env);

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  /// Remembers a stream, so that it ends before this environment does. Throws ABORTED once the environment is ending.
  std::shared_ptr<Stream> adopt(std::unique_ptr<Stream> stream);
  /// Remembers a group, so that nothing waits for other processes once this environment ends.
  void adopt(const std::shared_ptr<Group>& group) { groups_.push_back(group); }
  /// Ends every stream: each finishes the command in hand, and its thread is joined. Afterwards no thread of the engine
  /// runs that this environment started, so that it, or the process with its static objects, may go.
  void stopStreams();

  /// The one way anything asynchronous is answered. `work` runs on the stream's thread and returns the function that,
  /// back on the JavaScript thread and once the device has done what was enqueued, makes the value; a hint::Error
  /// thrown by either rejects the promise. Where JavaScript may not run any more, the answer is dropped.
  using Finish = std::function<Napi::Value(Napi::Env)>;
  Napi::Promise promise(Napi::Env env, const std::shared_ptr<Stream>& stream, std::function<Finish()> work);
  /// The same of work that all ranks of a group do, on its thread: `finish` makes the value. See Group::post.
  Napi::Promise promise(Napi::Env env, const std::shared_ptr<Group>& group, std::string what,
                        std::function<void(Communicator&)> work, Finish finish);
  /// Of what tells its end by itself: `begin` starts it.
  Napi::Promise promise(Napi::Env env, const std::function<void(Group::Then)>& begin, Finish finish);

 private:
  struct Answer {
    Napi::Promise::Deferred deferred;
    Finish finish;
    std::shared_ptr<const Error> error;
  };
  struct Pending;
  std::shared_ptr<Pending> expect(Napi::Env env);
  /// `env` is null while the environment goes away: what is left in the channel is dropped.
  static void receive(Napi::Env env, Napi::Function, Environment* home, Answer* answer);
  using Channel = Napi::TypedThreadSafeFunction<Environment, Answer, receive>;
  void deliver(Napi::Env env, Answer& answer);

  Channel toJavaScript_;
  int pending_ = 0;
  bool ending_ = false;
  std::vector<std::weak_ptr<Stream>> streams_;
  std::vector<std::weak_ptr<Group>> groups_;
};

/// Where this module lies, which is where its companions are.
std::string moduleFolder();

/// Where the CUDA library is looked for, in the whole process: what useCudaFolder was given last, or else beside this
/// module.
std::string cudaFolder();
void useCudaFolder(std::string path);

/// An Error object with the `code` of the native error.
Napi::Error toJavaScript(Napi::Env env, const Error& error);

}  // namespace hint::binding
