#include "native/runtime/stream.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

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

std::shared_ptr<const Error> failureOfInputs(const Call& call) {
  for (const auto* tensors : {&call.inputs, &call.gradOutputs})
    for (const Tensor& tensor : *tensors)
      if (tensor && tensor.buffer->failure) return tensor.buffer->failure;
  if (call.backward) {
    for (const Tensor& tensor : call.outputs)
      if (tensor && tensor.buffer->failure) return tensor.buffer->failure;
    for (size_t i = 0; i < call.gradInputs.size(); ++i)
      if (call.gradInputs[i] && call.betas[i] != 0.0f && call.gradInputs[i].buffer->failure)
        return call.gradInputs[i].buffer->failure;
  }
  return nullptr;
}

}  // namespace

Stream::Stream(int threads, size_t memoryLimit)
    : allocator_(std::make_shared<Allocator>(hostMemory(), memoryLimit)),
      threads_(threads > 0 ? threads : availableCores()) {
  worker_ = std::thread([this] { loop(); });
}

Stream::~Stream() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    queue_.clear();
  }
  ready_.notify_one();
  worker_.join();
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
    queue_.push_back(std::move(task));
  }
  ready_.notify_one();
}

void Stream::beginRecording() {
  if (recording_)
    fail("INVALID_ARGUMENT", "A recording is already open on this device; end it before beginning another.");
  recording_ = std::make_shared<Program>();
}

std::shared_ptr<Program> Stream::endRecording() {
  if (!recording_) fail("INVALID_ARGUMENT", "No recording is open on this device.");
  return std::exchange(recording_, nullptr);
}

void Stream::replay(std::shared_ptr<Program> program, int times, Tensor stop,
                    std::shared_ptr<std::atomic<bool>> cancel) {
  post([this, program = std::move(program), times, stop = std::move(stop), cancel = std::move(cancel)] {
    for (int round = 0; round < times; ++round) {
      if (cancel && cancel->load()) return;
      for (const auto& call : program->calls) run(*call);
      if (stop && (stop.buffer->failure || *stop.data<int32_t>() != 0)) return;
    }
  });
}

void Stream::execute(Call& call) {
  forEachWritten(call, [](Tensor& tensor) { tensor.buffer->ensure(); });
  const Kernels& kernels = call.spec->kernels[static_cast<size_t>(DeviceType::cpu)];
  const auto kernel = call.backward ? kernels.backward : kernels.forward;
  if (!kernel)
    fail("NOT_SUPPORTED", call.describe(), ": this op has no ", call.backward ? "backward" : "forward",
         " pass on the CPU.");
  kernel(call);
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
      execute(call);
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
