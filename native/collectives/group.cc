#include "native/collectives/group.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "native/collectives/abandoned.h"
#include "native/core/error.h"
#include "native/runtime/signals.h"

namespace hint {
namespace {

using Clock = std::chrono::steady_clock;

double secondsOf(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

bool isRead(Collective kind, bool isOwner) {
  return kind == Collective::reduce || kind == Collective::allReduce || isOwner;
}

void perform(Communicator& communicator, Collective kind, const std::vector<SharedTensor>& tensors, int root) {
  std::vector<Part> parts;
  for (const auto& [tensor, owner] : tensors)
    if (tensor.bytes() > 0) parts.push_back({addressOf(tensor), tensor.bytes(), owner, tensor.dtype});
  switch (kind) {
    case Collective::reduce:
      return communicator.reduce(parts);
    case Collective::allReduce:
      return communicator.allReduce(parts);
    case Collective::broadcast:
      return communicator.broadcast(parts);
    case Collective::gather:
      return communicator.gather(parts, root);
  }
}

/// Throws NOT_SUPPORTED where no communicator is for such tensors.
void requireType(const std::vector<DeviceType>& types, DeviceType type) {
  if (std::find(types.begin(), types.end(), type) != types.end()) return;
  if (type == DeviceType::cpu)
    fail("NOT_SUPPORTED",
         "These ranks work together by NCCL, which is for GPUs; give the device \"cuda\", or start them with MPI.");
  fail("NOT_SUPPORTED", "The ranks have not joined their GPUs yet; do so before they share tensors there.");
}

}  // namespace

struct Group::State {
  struct Job {
    std::string what;
    std::optional<DeviceType> type;  ///< of the communicator; none: the first
    std::shared_ptr<Mark> mark;      ///< behind which it begins
    std::function<void(Communicator&)> work;
    Join join;  ///< in place of work
    Then then;
  };

  mutable std::mutex mutex;
  std::condition_variable changed;
  std::deque<Job> queue;
  uint64_t queued = 0, done = 0;
  std::string what;
  Clock::time_point since;
  Times times;
  bool isRecorded = false;
  std::vector<Interval> intervals;
  int rank = 0, size = 0;
  std::vector<DeviceType> types;  ///< of the communicators
  bool isEnding = false;
  Interrupt interrupt;
  std::thread thread;
  /// Of the stream that enqueues: what was started there and not finished.
  std::vector<SharedTensor> underWay;

  void push(Job job) {
    {
      const std::lock_guard lock(mutex);
      queue.push_back(std::move(job));
      ++queued;
    }
    changed.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex);
    const auto began = Clock::now();
    changed.wait(lock, [&, until = queued] { return done >= until || isEnding; });
    count(times.exposed, {"wait", true, began});
  }
  void begin() {
    const std::lock_guard lock(mutex);
    since = Clock::now();
  }
  struct Span {
    std::string what;
    bool isExposed;
    Clock::time_point began;
  };
  void count(double& sum, Span span) {
    const auto now = Clock::now();
    sum += secondsOf(now - span.began);
    if (isRecorded)
      intervals.push_back({std::move(span.what), span.isExposed, secondsOf(span.began.time_since_epoch()),
                           secondsOf(now.time_since_epoch())});
  }
};

Group::Group(Join join) : state_(std::make_shared<State>()) {
  // The thread keeps the state: it may be left waiting for processes that never join.
  state_->thread = std::thread([state = state_, join = std::move(join)] { run(*state, join); });
}

Group::~Group() {
  interrupt(std::make_shared<Error>("ABORTED", "The group of this process was closed."));
  bool hasJoined;
  {
    const std::lock_guard lock(state_->mutex);
    state_->isEnding = true;
    hasJoined = state_->size > 0;
  }
  state_->changed.notify_all();
  if (hasJoined)
    state_->thread.join();
  else
    state_->thread.detach();
}

void Group::run(State& state, const Join& first) {
  blockForeignSignals();
  std::vector<std::unique_ptr<Communicator>> communicators;
  const auto add = [&](const Join& join) {
    const Communicator& added = *communicators.emplace_back(join(state.interrupt));
    const std::lock_guard lock(state.mutex);
    state.rank = added.rank();
    state.size = added.size();
    state.types.push_back(added.type());
  };
  const auto find = [&](std::optional<DeviceType> type) -> Communicator& {
    const auto isWanted = [type](const auto& one) { return !type || one->type() == *type; };
    return **std::find_if(communicators.begin(), communicators.end(), isWanted);
  };
  try {
    add(first);
  } catch (...) {
    state.interrupt.raise(currentError("joining the ranks of this run"));
    const std::lock_guard lock(state.mutex);
    state.size = 1;
  }
  for (State::Job job;;) {
    {
      std::unique_lock lock(state.mutex);
      state.what.clear();
      state.changed.wait(lock, [&] { return state.isEnding || !state.queue.empty(); });
      if (state.queue.empty()) return;
      job = std::move(state.queue.front());
      state.queue.pop_front();
      state.what = job.what;
      state.since = Clock::now();
    }
    auto error = state.interrupt.raised();
    if (!error) try {
        if (job.mark) job.mark->wait();
        // What it waited for until now was its own device.
        state.begin();
        if (job.join)
          add(job.join);
        else
          job.work(find(job.type));
      } catch (...) {
        error = currentError("working together with the other ranks");
        state.interrupt.raise(error);
        abandon(std::make_shared<std::function<void(Communicator&)>>(std::move(job.work)));
      }
    if (job.then) job.then(error);
    job = {};
    {
      const std::lock_guard lock(state.mutex);
      ++state.done;
      state.count(state.times.communication, {state.what, false, state.since});
    }
    state.changed.notify_all();
  }
}

void Group::post(std::string what, std::function<void(Communicator&)> work, Then then) {
  state_->push({std::move(what), {}, nullptr, std::move(work), nullptr, std::move(then)});
}

void Group::add(std::string what, Join join, Then then) {
  state_->push({std::move(what), {}, nullptr, nullptr, std::move(join), std::move(then)});
}

void Group::start(Stream& stream, Collective kind, std::vector<SharedTensor> tensors, int root, std::string what) {
  const int ranks = size();
  if (ranks == 0) fail("INVALID_ARGUMENT", "This process has not joined its ranks yet; wait until it has.");
  requireType(types(), stream.type());
  const bool isSum = kind == Collective::reduce || kind == Collective::allReduce;
  for (const auto& [tensor, owner] : tensors) {
    stream.requireOwn(tensor, "A tensor that ranks share");
    if (owner < 0 || owner >= ranks || root < 0 || root >= ranks)
      fail("INVALID_ARGUMENT", "Rank ", owner < 0 || owner >= ranks ? owner : root, " is none of ", ranks, ".");
    if (isSum && !isFloating(tensor.dtype))
      fail("INVALID_ARGUMENT", "Ranks sum f32 and bf16 values, not ", nameOf(tensor.dtype), "; cast the tensor first.");
  }
  stream.post([&stream, state = state_, kind, tensors = std::move(tensors), root, what = std::move(what)]() mutable {
    std::shared_ptr<const Error> failure;
    std::shared_ptr<Mark> mark;
    try {
      for (const auto& [tensor, owner] : tensors) {
        if (isRead(kind, owner == state->rank)) {
          if (const auto known = tensor.buffer->knownFailure()) throw Error(*known);
          if (tensor.bytes() > 0 && tensor.buffer->isUnwritten())
            fail("INVALID_ARGUMENT", "A tensor that ranks share was never written; write it before.");
        }
        tensor.buffer->ensure();
        tensor.buffer->failure = nullptr;
        tensor.buffer->setIntegers(std::nullopt);
      }
      mark = stream.mark();
    } catch (...) {
      failure = currentError("sharing tensors with the other ranks");
    }
    state->underWay.insert(state->underWay.end(), tensors.begin(), tensors.end());
    // The others wait for what this rank cannot give.
    if (failure) state->interrupt.raise(failure);
    state->push({std::move(what), stream.type(), std::move(mark),
                 [kind, tensors = std::move(tensors), root](Communicator& communicator) {
                   perform(communicator, kind, tensors, root);
                 },
                 nullptr, nullptr});
  });
}

void Group::finish(Stream& stream) {
  stream.post([&stream, state = state_] {
    try {
      // What the device has left to compute is no wait for others.
      if (const auto mark = stream.mark()) mark->wait();
    } catch (...) {
      state->interrupt.raise(currentError("sharing tensors with the other ranks"));
    }
    state->wait();
    if (const auto failure = state->interrupt.raised())
      for (const auto& [tensor, _] : state->underWay) tensor.buffer->failure = failure;
    state->underWay.clear();
  });
}

void Group::interrupt(std::shared_ptr<const Error> error) { state_->interrupt.raise(std::move(error)); }

int Group::size() const {
  const std::lock_guard lock(state_->mutex);
  return state_->size;
}

std::vector<DeviceType> Group::types() const {
  const std::lock_guard lock(state_->mutex);
  return state_->types;
}

Group::Activity Group::activity() const {
  const std::lock_guard lock(state_->mutex);
  if (state_->what.empty()) return {};
  return {state_->what, secondsOf(Clock::now() - state_->since)};
}

Group::Times Group::times() const {
  const std::lock_guard lock(state_->mutex);
  return state_->times;
}

std::vector<Group::Interval> Group::takeIntervals(bool isRecorded) {
  const std::lock_guard lock(state_->mutex);
  state_->isRecorded = isRecorded;
  return std::exchange(state_->intervals, {});
}

}  // namespace hint
