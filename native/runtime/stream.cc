#include "native/runtime/stream.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "native/runtime/error.h"
#include "native/runtime/parallel.h"

namespace hint {
namespace {

/// Lets the thread that runs JavaScript preempt compute threads at once, so that the event loop stays responsive when
/// every core computes. The team's threads inherit it.
void lowerPriority() { setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 5); }

template <typename Visit>
void forEachWritten(Call& call, const Visit& visit) {
  if (call.backward) {
    for (Tensor& tensor : call.gradInputs)
      if (tensor) visit(tensor);
    return;
  }
  for (Tensor& tensor : call.outputs)
    if (tensor) visit(tensor);
  for (size_t i = 0; i < call.inputs.size(); ++i)
    if (call.inputs[i] && (call.spec->inputs[i].flags & kMutable)) visit(call.inputs[i]);
}

template <typename Visit>
void forEachRead(const Call& call, const Visit& visit) {
  for (const auto* tensors : {&call.inputs, &call.gradOutputs})
    for (const Tensor& tensor : *tensors)
      if (tensor) visit(tensor);
  if (!call.backward) return;
  for (const Tensor& tensor : call.outputs)
    if (tensor) visit(tensor);
  for (size_t i = 0; i < call.gradInputs.size(); ++i)
    if (call.gradInputs[i] && call.betas[i] != 0.0f) visit(call.gradInputs[i]);
}

std::shared_ptr<const Error> failureOfInputs(const Call& call) {
  std::shared_ptr<const Error> failure;
  forEachRead(call, [&](const Tensor& tensor) {
    if (!failure) failure = tensor.buffer->knownFailure();
  });
  return failure;
}

/// What a command that has run read from files that were cut off meanwhile is no value.
std::shared_ptr<const Error> failureOfLenders(const Call& call) {
  std::shared_ptr<const Error> failure;
  forEachRead(call, [&](const Tensor& tensor) {
    if (!failure && tensor.buffer->isBorrowed()) failure = tensor.buffer->knownFailure();
  });
  return failure;
}

/// Adds the checks that may still fail and are not there yet.
void addOpen(std::vector<std::shared_ptr<DeferredCheck>>& checks,
             const std::vector<std::shared_ptr<DeferredCheck>>& more) {
  for (const auto& check : more)
    if (!(check->settled() && !check->error()) && std::find(checks.begin(), checks.end(), check) == checks.end())
      checks.push_back(check);
}

}  // namespace

Stream::Stream(int threads, size_t memoryLimit) : Stream(hostBackend(), threads, memoryLimit) {}

Stream::Stream(std::unique_ptr<Backend> backend, int threads, size_t memoryLimit)
    : backend_(std::move(backend)),
      type_(backend_->type()),
      allocator_(std::make_shared<Allocator>(backend_->memory(), memoryLimit)),
      threads_(threads > 0 ? threads : availableCores()) {
  worker_ = std::thread([this] { loop(); });
}

Stream::~Stream() { stop(); }

void Stream::stop() {
  std::deque<std::function<void()>> dropped;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(queue_);
  }
  ready_.notify_one();
  if (worker_.joinable()) worker_.join();
  // Tasks answer whoever waits for them when they are destroyed; the backend answers for what its device still does.
  dropped.clear();
  backend_.reset();
}

std::shared_ptr<Buffer> Stream::buffer(size_t bytes) { return std::make_shared<Buffer>(allocator_, bytes); }

void Stream::enqueue(std::unique_ptr<Call> call) {
  for (size_t i = 0; i < call->outputs.size() && !call->backward; ++i)
    if (call->outputPresent[i] && !call->outputs[i]) call->outputs[i].buffer = buffer(call->outputs[i].bytes());
  if (recording_) {
    recording_->calls.push_back(std::move(call));
    return;
  }
  post([this, call = std::shared_ptr<Call>(std::move(call))] { run(*call); });
}

void Stream::post(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    queue_.push_back(std::move(task));
  }
  ready_.notify_one();
}

void Stream::beginRecording() { resumeRecording(std::make_shared<Program>()); }

void Stream::resumeRecording(std::shared_ptr<Program> program) {
  if (recording_)
    fail("INVALID_ARGUMENT", "A recording is already open on this device; end it before beginning another.");
  recording_ = std::move(program);
}

std::shared_ptr<Program> Stream::endRecording() {
  if (!recording_) fail("INVALID_ARGUMENT", "No recording is open on this device.");
  return std::exchange(recording_, nullptr);
}

void Stream::replay(std::shared_ptr<Program> program, int times, Tensor stop) {
  post([this, program = std::move(program), times, stop = std::move(stop)] {
    try {
      backend_->replay(*program, times, stop, stopping_, [this](Call& call) { run(call); });
    } catch (const Error& error) {
      const auto failure = std::make_shared<Error>(error);
      for (const auto& call : program->calls)
        forEachWritten(*call, [&](Tensor& tensor) { tensor.buffer->failure = failure; });
      if (!failure_) failure_ = failure;
    }
  });
}

void Stream::write(Tensor tensor, size_t offset, std::vector<uint8_t> bytes) {
  if (bytes.empty()) return;
  post([this, tensor = std::move(tensor), offset, bytes = std::move(bytes)] {
    std::shared_ptr<const Error> failure;
    try {
      tensor.buffer->ensure();
      backend_->upload(static_cast<unsigned char*>(addressOf(tensor)) + offset, bytes.data(), bytes.size());
    } catch (const Error& error) {
      failure = std::make_shared<Error>(error);
      if (!failure_) failure_ = failure;
    }
    tensor.buffer->failure = failure;
    tensor.buffer->checks.clear();
  });
}

void Stream::execute(Call& call) {
  static const std::unique_ptr<Backend> host = hostBackend();
  forEachWritten(call, [](Tensor& tensor) { tensor.buffer->ensure(); });
  host->run(call);
}

void Stream::collectChecks(Call& call) {
  std::vector<std::shared_ptr<DeferredCheck>> checks = backend_->takeChecks();
  if (!checks.empty()) {
    std::vector<std::shared_ptr<DeferredCheck>> open;
    addOpen(open, openChecks_);
    addOpen(open, checks);
    openChecks_ = std::move(open);
  }
  forEachRead(call, [&](const Tensor& tensor) { addOpen(checks, tensor.buffer->checks); });
  forEachWritten(call, [&](Tensor& tensor) { tensor.buffer->checks = checks; });
}

void Stream::run(Call& call) {
  std::shared_ptr<const Error> failure = failureOfInputs(call);
  if (failure) {
    // Nothing was written: values that the op would have updated in place stay valid.
    forEachWritten(call, [&](Tensor& tensor) {
      bool updatedInPlace = false;
      for (size_t i = 0; i < call.inputs.size() && !call.backward; ++i)
        updatedInPlace |= call.inputs[i].buffer == tensor.buffer;
      if (!updatedInPlace) tensor.buffer->failure = failure;
    });
  } else {
    try {
      // A buffer about to be overwritten starts clean; one that is accumulated into was checked above.
      forEachWritten(call, [](Tensor& tensor) { tensor.buffer->failure = nullptr; });
      forEachWritten(call, [](Tensor& tensor) { tensor.buffer->ensure(); });
      backend_->run(call);
      if (const auto failed = failureOfLenders(call)) throw Error(*failed);
      collectChecks(call);
      commands_.fetch_add(1, std::memory_order_relaxed);
      flops_.store(flops_.load(std::memory_order_relaxed) + call.flops(), std::memory_order_relaxed);
      return;
    } catch (const Error& error) {
      failure = std::make_shared<Error>(error);
    } catch (const std::exception& error) {
      failure = std::make_shared<Error>("INTERNAL", call.describe() + ": " + error.what());
    }
    forEachWritten(call, [&](Tensor& tensor) { tensor.buffer->failure = failure; });
  }
  if (!failure_) failure_ = failure;
}

std::shared_ptr<const Error> Stream::takeFailure() { return std::exchange(failure_, nullptr); }

void Stream::setThreads(int threads) {
  post([threads] { setThreadCount(threads > 0 ? threads : availableCores()); });
}

StreamStats Stream::stats() const { return {commands_.load(), flops_.load()}; }

size_t Stream::queued() const {
  std::lock_guard lock(mutex_);
  return queue_.size();
}

void Stream::loop() {
  lowerPriority();
  backend_->enter(allocator_);
  setThreadCount(threads_);
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

}  // namespace hint
