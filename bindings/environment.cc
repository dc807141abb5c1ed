#include "bindings/environment.h"

#include <dlfcn.h>

#include <mutex>
#include <utility>

namespace hint::binding {

Environment::Environment(Napi::Env env) {
  toJavaScript_ = Channel::New(env, "hint-engine", 0, 1, this);
  // An idle engine must not keep the process alive; pending promises do, see promise().
  toJavaScript_.Unref(env);
  // Hooks run in the reverse order of their making: this one before the channel closes and before handles are
  // collected.
  env.AddCleanupHook([](Environment* home) { home->stopStreams(); }, this);
}

/// Work on its way through a stream. When the stream is stopped before the work ran, the promise is rejected instead of
/// being forgotten, which would keep the process waiting for ever.
struct Environment::Pending {
  Channel channel;
  std::unique_ptr<Answer> answer;

  ~Pending() {
    if (!answer) return;
    answer->error = std::make_shared<Error>("ABORTED", "The device was closed before this was done.");
    send();
  }
  void send() {
    if (channel.NonBlockingCall(answer.get()) == napi_ok) answer.release();
    answer.reset();
  }
};

std::shared_ptr<Stream> Environment::adopt(std::unique_ptr<Stream> stream) {
  if (ending_) fail("ABORTED", "This thread or process is ending; no device can be opened any more.");
  std::erase_if(streams_, [](const std::weak_ptr<Stream>& known) { return known.expired(); });
  std::shared_ptr<Stream> adopted = std::move(stream);
  streams_.push_back(adopted);
  return adopted;
}

void Environment::stopStreams() {
  ending_ = true;
  // First, because a stream may wait for one.
  for (const auto& known : std::exchange(groups_, {}))
    if (const auto group = known.lock())
      group->interrupt(std::make_shared<Error>("ABORTED", "This thread or process is ending."));
  for (const auto& known : std::exchange(streams_, {}))
    if (const auto stream = known.lock()) stream->stop();
}

std::shared_ptr<Environment::Pending> Environment::expect(Napi::Env env) {
  auto pending = std::make_shared<Pending>(
      toJavaScript_, std::make_unique<Answer>(Napi::Promise::Deferred::New(env), nullptr, nullptr));
  if (pending_++ == 0) toJavaScript_.Ref(env);
  return pending;
}

Napi::Promise Environment::promise(Napi::Env env, const std::shared_ptr<Stream>& stream, std::function<Finish()> work) {
  const auto pending = expect(env);
  const Napi::Promise promise = pending->answer->deferred.Promise();
  // The stream runs this, so it is there; a reference of its own would let its thread be the one that joins it.
  stream->post([on = stream.get(), pending, work = std::move(work)] {
    try {
      pending->answer->finish = work();
    } catch (const Error& error) {
      pending->answer->error = std::make_shared<Error>(error);
    } catch (const std::exception& error) {
      pending->answer->error = std::make_shared<Error>("INTERNAL", error.what());
    }
    on->whenDone([pending](const std::shared_ptr<const Error>& lost) {
      if (lost) pending->answer->error = lost;
      pending->send();
    });
  });
  return promise;
}

Napi::Promise Environment::promise(Napi::Env env, const std::shared_ptr<Group>& group, std::string what,
                                   std::function<void(Communicator&)> work, Finish finish) {
  return promise(
      env, [&](Group::Then then) { group->post(std::move(what), std::move(work), std::move(then)); },
      std::move(finish));
}

Napi::Promise Environment::promise(Napi::Env env, const std::function<void(Group::Then)>& begin, Finish finish) {
  const auto pending = expect(env);
  const Napi::Promise promise = pending->answer->deferred.Promise();
  pending->answer->finish = std::move(finish);
  begin([pending](const std::shared_ptr<const Error>& error) {
    pending->answer->error = error;
    pending->send();
  });
  return promise;
}

void Environment::receive(Napi::Env env, Napi::Function, Environment* home, Answer* answer) {
  const std::unique_ptr<Answer> owner(answer);
  if (napi_env(env) == nullptr) return;
  try {
    home->deliver(env, *answer);
  } catch (const Napi::Error&) {
    // A worker that is being terminated, or a process that is ending, takes no values: nobody is left to wait.
  }
}

void Environment::deliver(Napi::Env env, Answer& answer) {
  const Napi::HandleScope scope(env);
  if (--pending_ == 0) toJavaScript_.Unref(env);
  if (answer.error) {
    answer.deferred.Reject(toJavaScript(env, *answer.error).Value());
    return;
  }
  try {
    answer.deferred.Resolve(answer.finish(env));
  } catch (const Error& error) {
    answer.deferred.Reject(toJavaScript(env, error).Value());
  }
}

std::string moduleFolder() {
  Dl_info where;
  if (!dladdr(reinterpret_cast<void*>(&moduleFolder), &where) || !where.dli_fname) return ".";
  const std::string path = where.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

namespace {

struct CudaFolder {
  std::mutex mutex;
  std::string path;
};

CudaFolder& cudaFolderSet() {
  // Never destroyed, because other environments may still ask while the process ends.
  static auto& folder = *new CudaFolder;
  return folder;
}

}  // namespace

std::string cudaFolder() {
  CudaFolder& folder = cudaFolderSet();
  const std::lock_guard lock(folder.mutex);
  return folder.path.empty() ? moduleFolder() : folder.path;
}

void useCudaFolder(std::string path) {
  CudaFolder& folder = cudaFolderSet();
  const std::lock_guard lock(folder.mutex);
  folder.path = std::move(path);
}

Napi::Error toJavaScript(Napi::Env env, const Error& error) {
  Napi::Error value = Napi::Error::New(env, error.what());
  value.Set("code", Napi::String::New(env, error.code()));
  return value;
}

}  // namespace hint::binding
