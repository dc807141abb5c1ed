#include "bindings/environment.h"

#include <utility>

namespace hint::binding {

Environment::Environment(Napi::Env env) {
  const auto nothing = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
  toJavaScript_ = Napi::ThreadSafeFunction::New(env, nothing, "hint-engine", 0, 1);
  // An idle engine must not keep the process alive; pending promises do, see promise().
  toJavaScript_.Unref(env);
}

/// Work on its way through a stream. When the stream is closed before the work ran, the promise is rejected instead of
/// being forgotten, which would keep the process waiting for ever.
struct Environment::Pending {
  Environment& environment;
  Answer* answer;
  Napi::ThreadSafeFunction channel;

  ~Pending() {
    if (!answer) return;
    answer->error = std::make_shared<Error>("ABORTED", "The device was closed before this was done.");
    send();
  }
  void send() {
    Answer* sent = std::exchange(answer, nullptr);
    channel.NonBlockingCall(
        sent, [&home = environment](Napi::Env env, Napi::Function, Answer* done) { home.deliver(env, done); });
  }
};

Napi::Promise Environment::promise(Napi::Env env, Stream& stream, std::function<Finish()> work) {
  auto* answer = new Answer{Napi::Promise::Deferred::New(env), nullptr, nullptr};
  const Napi::Promise promise = answer->deferred.Promise();
  if (pending_++ == 0) toJavaScript_.Ref(env);
  auto pending = std::shared_ptr<Pending>(new Pending{*this, answer, toJavaScript_});
  stream.post([&stream, pending = std::move(pending), work = std::move(work)] {
    try {
      pending->answer->finish = work();
    } catch (const Error& error) {
      pending->answer->error = std::make_shared<Error>(error);
    } catch (const std::exception& error) {
      pending->answer->error = std::make_shared<Error>("INTERNAL", error.what());
    }
    stream.whenDone([pending] { pending->send(); });
  });
  return promise;
}

void Environment::deliver(Napi::Env env, Answer* answer) {
  const std::unique_ptr<Answer> owner(answer);
  const Napi::HandleScope scope(env);
  if (--pending_ == 0) toJavaScript_.Unref(env);
  if (answer->error) {
    answer->deferred.Reject(toJavaScript(env, *answer->error).Value());
    return;
  }
  try {
    answer->deferred.Resolve(answer->finish(env));
  } catch (const Error& error) {
    answer->deferred.Reject(toJavaScript(env, error).Value());
  }
}

Napi::Error toJavaScript(Napi::Env env, const Error& error) {
  Napi::Error value = Napi::Error::New(env, error.what());
  value.Set("code", Napi::String::New(env, error.code()));
  return value;
}

}  // namespace hint::binding
