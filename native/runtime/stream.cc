#include "native/runtime/stream.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>

#include "native/core/error.h"
#include "native/core/table.h"
#include "native/runtime/block_pool.h"
#include "native/runtime/parallel.h"
#include "native/runtime/signals.h"

namespace hint {
namespace {

/// The calls that wait to be used again: more than run ahead of a device. They take some megabytes.
constexpr size_t kMostSpareCalls = 4096;
/// Longer than JavaScript takes from one command to the next.
constexpr std::chrono::microseconds kLookOut{50};

/// Lowers the priority of the calling thread, and of the team that it starts, so that the thread that runs JavaScript
/// preempts them when every core computes.
void lowerPriority() {
  const auto thread = static_cast<id_t>(syscall(SYS_gettid));
  // A process that was started with a lower priority keeps it.
  if (getpriority(PRIO_PROCESS, thread) < 5) setpriority(PRIO_PROCESS, thread, 5);
}

/// Leaves a call nothing but its op and the memory of its lists.
void empty(Call& call) {
  for (auto* tensors : {&call.inputs, &call.outputs})
    for (Tensor& tensor : *tensors) {
      tensor.buffer.reset();
      tensor.offset = 0;
      tensor.dtype = DType::f32;
      tensor.shape.clear();
    }
  call.gradOutputs.clear();
  call.gradInputs.clear();
  call.betas.clear();
  call.dimensions.clear();
  call.backward = false;
  call.forwardOutcome.reset();
}

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

/// Calls visit(tensor, argument, mayBeUnwritten) for every tensor that a call reads.
template <typename Visit>
void forEachRead(const Call& call, const Visit& visit) {
  const auto each = [&](const std::vector<Tensor>& tensors, const std::vector<ArgSpec>& arguments) {
    for (size_t i = 0; i < tensors.size(); ++i)
      if (tensors[i]) visit(tensors[i], arguments[i], !call.backward && (arguments[i].flags & kUnwritten));
  };
  each(call.inputs, call.spec->inputs);
  each(call.gradOutputs, call.spec->outputs);
  if (!call.backward) return;
  each(call.outputs, call.spec->outputs);
  for (size_t i = 0; i < call.gradInputs.size(); ++i) {
    if (!call.gradInputs[i] || call.betas[i] == 0.0f) continue;
    // Both inputs of a + a share one gradient: the first writes it, the second adds to it.
    const auto isWrittenHere = [&](const Tensor& earlier) { return overlap(earlier, call.gradInputs[i]); };
    const auto begin = call.gradInputs.begin();
    visit(call.gradInputs[i], call.spec->inputs[i], std::any_of(begin, begin + static_cast<int64_t>(i), isWrittenHere));
  }
}

/// The error of a call whose inputs failed or were never written; null when it can run.
std::shared_ptr<const Error> failureOfInputs(const Call& call) {
  std::shared_ptr<const Error> failure;
  if (call.backward && call.forwardOutcome) failure = call.forwardOutcome->knownFailure();
  forEachRead(call, [&](const Tensor& tensor, const ArgSpec& argument, bool mayBeUnwritten) {
    if (failure) return;
    failure = tensor.buffer->knownFailure();
    if (failure || mayBeUnwritten || !tensor.buffer->isUnwritten() || tensor.size() == 0) return;
    failure = std::make_shared<Error>(
        "INVALID_ARGUMENT", call.describe() + ": " + argument.name + (call.backward ? " or its gradient" : "") +
                                " was never written; write it, or run what was recorded to write it, before its use.");
  });
  return failure;
}

/// The error of a command that has read a mapped file which was truncated meanwhile; null when there was none.
std::shared_ptr<const Error> failureOfLenders(const Call& call) {
  std::shared_ptr<const Error> failure;
  forEachRead(call, [&](const Tensor& tensor, const ArgSpec&, bool) {
    if (!failure && tensor.buffer->isBorrowed()) failure = tensor.buffer->knownFailure();
  });
  return failure;
}

/// The range of the integers that are a buffer's whole contents; nullopt for anything else.
std::optional<IntegerRange> rangeOf(const Tensor& tensor, size_t offset, const std::vector<uint8_t>& bytes) {
  if (tensor.dtype != DType::i32 || tensor.offset != 0 || offset != 0 || bytes.size() != tensor.buffer->bytes())
    return std::nullopt;
  IntegerRange range{INT32_MAX, INT32_MIN};
  for (size_t at = 0; at < bytes.size(); at += sizeof(int32_t)) {
    int32_t value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    range = {std::min(range.least, value), std::max(range.most, value)};
  }
  return range;
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
  std::deque<Command> dropped;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(queue_);
  }
  ready_.notify_one();
  if (worker_.joinable()) worker_.join();
  // Destroying a task settles whatever waits for it; the backend settles waits for work that is on its device.
  dropped.clear();
  spares_.clear();
  done_.clear();
  backend_.reset();
  // A tensor that somebody still refers to keeps the allocator, which must not keep the memory of all others.
  allocator_->close();
}

std::shared_ptr<Buffer> Stream::buffer(size_t bytes) {
  return std::allocate_shared<Buffer>(PooledAllocator<Buffer>(), allocator_, bytes);
}

std::unique_ptr<Call> Stream::call(const OpSpec& op) {
  auto& spares = spares_[&op];
  if (spares.empty()) {
    std::vector<std::unique_ptr<Call>> done;
    {
      const std::lock_guard lock(mutex_);
      done.swap(done_);
    }
    for (auto& call : done) spares_[call->spec].push_back(std::move(call));
  }
  if (spares.empty()) spares.push_back(std::make_unique<Call>(op));
  auto call = std::move(spares.back());
  spares.pop_back();
  call->attributes.resize(op.attributes.size());
  for (size_t i = 0; i < op.attributes.size(); ++i) call->attributes[i] = op.attributes[i].defaultValue;
  return call;
}

void Stream::requireOwn(const Tensor& tensor, const std::string& what) const {
  if (!tensor) fail("INVALID_ARGUMENT", what, " was released; keep it until its last use.");
  if (tensor && !tensor.buffer->isOf(*allocator_))
    fail("INVALID_ARGUMENT", what, " belongs to another device; copy it over by reading it and making a tensor here.");
}

void Stream::requireOwn(const Call& call) const {
  const auto each = [&](const std::vector<Tensor>& tensors, const std::vector<ArgSpec>& arguments, const char* kind) {
    for (size_t i = 0; i < tensors.size(); ++i)
      if (tensors[i] && !tensors[i].buffer->isOf(*allocator_))
        requireOwn(tensors[i], call.describe() + ": " + kind + arguments[i].name);
  };
  each(call.inputs, call.spec->inputs, "");
  each(call.outputs, call.spec->outputs, "");
  each(call.gradOutputs, call.spec->outputs, "the gradient of ");
  each(call.gradInputs, call.spec->inputs, "the gradient of ");
}

void Stream::assign(const Tensor& destination, const Tensor& source) {
  requireOwn(destination, "The tensor to assign to");
  requireOwn(source, "The tensor to assign");
  if (destination.dtype != source.dtype || destination.shape != source.shape)
    fail("INVALID_SHAPE", "Cannot assign ", nameOf(source.dtype), " ", toString(source.shape), " to a tensor of ",
         nameOf(destination.dtype), " ", toString(destination.shape), "; dtype and shape must be equal.");
  if (destination.buffer == source.buffer && destination.offset == source.offset) return;
  if (overlap(destination, source))
    fail("INVALID_ARGUMENT", "A tensor cannot be assigned to another window of its own memory; assign a copy.");
  auto copy = call(findOp("copy"));
  copy->inputs = {source};
  copy->inputPresent = {true};
  copy->bind();
  copy->outputs = {destination};
  enqueue(std::move(copy));
}

void Stream::enqueue(std::unique_ptr<Call> call) {
  for (size_t i = 0; i < call->outputs.size() && !call->backward; ++i)
    if (call->outputPresent[i] && !call->outputs[i]) call->outputs[i].buffer = buffer(call->outputs[i].bytes());
  if (recording_) {
    recording_->calls.push_back(std::move(call));
    return;
  }
  push({std::move(call), nullptr});
}

void Stream::post(std::function<void()> task) { push({nullptr, std::move(task)}); }

void Stream::push(Command command) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    queue_.push_back(std::move(command));
    ++pushed_;
  }
  // Costs nothing while nobody sleeps.
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
  if (recording_) fail("INVALID_ARGUMENT", "A replay cannot be recorded; end the recording that is open first.");
  post([this, program = std::move(program), times, stop = std::move(stop)] {
    try {
      backend_->replay(*program, times, stop, stopping_, [this](Call& call) { run(call); });
    } catch (...) {
      const auto failure = currentError("replaying a program");
      for (const auto& call : program->calls)
        forEachWritten(*call, [&](Tensor& tensor) { tensor.buffer->failure = failure; });
      if (!failure_) failure_ = failure;
    }
  });
}

void Stream::write(Tensor tensor, size_t offset, std::vector<uint8_t> bytes) {
  if (bytes.empty()) return;
  // The CPU checks integers when it reads them, so only other devices need their range.
  const auto range = type_ == DeviceType::cpu ? std::nullopt : rangeOf(tensor, offset, bytes);
  post([this, tensor = std::move(tensor), offset, range, bytes = std::move(bytes)] {
    std::shared_ptr<const Error> failure;
    try {
      tensor.buffer->ensure();
      backend_->upload(static_cast<unsigned char*>(addressOf(tensor)) + offset, bytes.data(), bytes.size());
    } catch (...) {
      failure = currentError("writing a tensor of shape " + toString(tensor.shape));
      if (!failure_) failure_ = failure;
    }
    tensor.buffer->failure = failure;
    tensor.buffer->checks.clear();
    tensor.buffer->setIntegers(range);
  });
}

void Stream::execute(Call& call) {
  static const std::unique_ptr<Backend> host = hostBackend();
  forEachWritten(call, [](Tensor& tensor) { tensor.buffer->ensure(); });
  host->run(call);
}

void Stream::collectChecks(Call& call) {
  Checks checks = backend_->takeChecks();
  if (!checks.empty()) {
    Checks open;
    addOpen(open, openChecks_);
    addOpen(open, checks);
    openChecks_ = std::move(open);
  }
  forEachRead(call, [&](const Tensor& tensor, const ArgSpec&, bool) { addOpen(checks, tensor.buffer->checks); });
  if (call.backward && call.forwardOutcome) addOpen(checks, call.forwardOutcome->checks);
  forEachWritten(call, [&](Tensor& tensor) { tensor.buffer->checks = checks; });
  if (!call.backward && call.forwardOutcome) *call.forwardOutcome = {nullptr, std::move(checks)};
}

void Stream::run(Call& call) {
  std::shared_ptr<const Error> failure = failureOfInputs(call);
  if (failure) {
    // The call did not start, so values that it would have updated in place stay valid.
    forEachWritten(call, [&](Tensor& tensor) {
      bool updatedInPlace = false;
      for (size_t i = 0; i < call.inputs.size() && !call.backward; ++i)
        updatedInPlace |= call.inputs[i].buffer == tensor.buffer;
      if (!updatedInPlace || tensor.buffer->isUnwritten()) tensor.buffer->failure = failure;
    });
  } else {
    uint64_t fresh = 0;  // bit i: output i had no memory before this call
    for (size_t i = 0; i < call.outputs.size() && !call.backward; ++i)
      if (call.outputs[i] && call.outputs[i].buffer->isUnwritten()) fresh |= uint64_t{1} << i;
    try {
      // Clears earlier errors of buffers that the call overwrites; those it adds to were checked above.
      forEachWritten(call, [](Tensor& tensor) {
        tensor.buffer->failure = nullptr;
        tensor.buffer->setIntegers(std::nullopt);
      });
      forEachWritten(call, [](Tensor& tensor) { tensor.buffer->ensure(); });
      backend_->run(call);
      if (const auto failed = failureOfLenders(call)) throw Error(*failed);
      collectChecks(call);
      commands_.fetch_add(1, std::memory_order_relaxed);
      flops_.store(flops_.load(std::memory_order_relaxed) + call.flops(), std::memory_order_relaxed);
      return;
    } catch (...) {
      failure = currentError(call.describe());
    }
    forEachWritten(call, [&](Tensor& tensor) { tensor.buffer->failure = failure; });
    for (size_t i = 0; i < call.outputs.size(); ++i)
      if (fresh >> i & 1) call.outputs[i].buffer->drop();
  }
  if (!call.backward && call.forwardOutcome) call.forwardOutcome->failure = failure;
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

void Stream::lookOut(std::unique_lock<std::mutex>& lock) const {
  if (type_ == DeviceType::cpu || stopping_ || !queue_.empty()) return;
  const uint64_t seen = pushed_.load();
  lock.unlock();
  const auto until = std::chrono::steady_clock::now() + kLookOut;
  while (pushed_.load() == seen && !stopping_ && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  lock.lock();
}

void Stream::loop() {
  blockForeignSignals();
  lowerPriority();
  backend_->enter(allocator_);
  setThreadCount(threads_);
  for (Command command;;) {
    {
      std::unique_lock lock(mutex_);
      if (command.call && done_.size() < kMostSpareCalls) done_.push_back(std::move(command.call));
      lookOut(lock);
      ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      command = std::move(queue_.front());
      queue_.pop_front();
    }
    if (command.call) {
      run(*command.call);
      // What only this call held is given back now, not when the next has come.
      empty(*command.call);
    } else {
      command.task();
      command.task = nullptr;
    }
  }
}

}  // namespace hint
