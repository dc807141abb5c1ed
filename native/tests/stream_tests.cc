#include <algorithm>
#include <atomic>
#include <future>
#include <thread>

#include "native/core/table.h"
#include "native/runtime/stream.h"
#include "native/tests/check.h"

namespace hint {
namespace {

Tensor filled(Stream& stream, Shape shape, float value) {
  Tensor tensor{nullptr, 0, DType::f32, std::move(shape)};
  tensor.buffer = stream.buffer(tensor.bytes());
  std::fill_n(static_cast<float*>(tensor.buffer->ensure()), tensor.size(), value);
  return tensor;
}

Tensor integers(Stream& stream, Shape shape, const IntList& values) {
  Tensor tensor{nullptr, 0, DType::i32, std::move(shape)};
  tensor.buffer = stream.buffer(tensor.bytes());
  std::copy(values.begin(), values.end(), static_cast<int32_t*>(tensor.buffer->ensure()));
  return tensor;
}

/// Enqueues an op whose inputs are all present. Returns its first output, if it has one.
Tensor enqueue(Stream& stream, const char* op, std::vector<Tensor> inputs,
               const std::vector<std::pair<std::string, Attribute>>& attributes = {}) {
  auto call = std::make_unique<Call>(findOp(op));
  call->inputPresent.assign(inputs.size(), true);
  call->inputs = std::move(inputs);
  for (const AttributeSpec& attribute : call->spec->attributes) {
    call->attributes.push_back(attribute.defaultValue);
    for (const auto& [name, value] : attributes)
      if (name == attribute.name) call->attributes.back() = value;
  }
  call->bind();
  for (size_t i = 0; i < call->outputs.size(); ++i)
    call->outputs[i].buffer = call->outputPresent[i] ? stream.buffer(call->outputs[i].bytes()) : nullptr;
  Tensor output = call->outputs.empty() ? Tensor{} : call->outputs[0];
  stream.enqueue(std::move(call));
  return output;
}

/// Runs `task` on the stream after everything that is queued, and waits for it.
template <typename Task>
auto on(Stream& stream, const Task& task) {
  std::promise<decltype(task())> promise;
  auto result = promise.get_future();
  stream.post([&] { promise.set_value(task()); });
  return result.get();
}

float first(Stream& stream, const Tensor& tensor) {
  return on(stream, [&] {
    CHECK(!tensor.buffer->failure);
    return *tensor.data<float>();
  });
}

std::shared_ptr<const Error> failureOf(Stream& stream, const Tensor& tensor) {
  return on(stream, [&] { return tensor.buffer->failure; });
}

/// Blocks the stream until it is released or destroyed, so that later commands stay in the queue.
class Gate {
 public:
  explicit Gate(Stream& stream) {
    stream.post([opened = opened_.get_future().share()] { opened.wait(); });
  }
  ~Gate() { open(); }
  void open() {
    if (!std::exchange(isOpen_, true)) opened_.set_value();
  }

 private:
  std::promise<void> opened_;
  bool isOpen_ = false;
};

TEST("a call that has run serves the next of its op, and brings nothing along") {
  Stream stream(1);
  const Tensor x = filled(stream, {1, 1}, 3.0f), weight = filled(stream, {1, 1}, 5.0f),
               bias = filled(stream, {1}, 7.0f);
  const Call* used = nullptr;
  for (const bool isFirst : {true, false}) {
    auto call = stream.call(findOp("linear"));
    if (isFirst)
      used = call.get();
    else
      CHECK(call.get() == used);
    CHECK(call->dimensions.empty() && call->gradInputs.empty() && call->betas.empty() && !call->forwardOutcome);
    call->inputs = {x, weight, isFirst ? bias : Tensor{}};
    call->inputPresent = {true, true, isFirst};
    for (size_t i = 0; i < call->attributes.size(); ++i)
      if (isFirst && std::string(call->spec->attributes[i].name) == "alpha") call->attributes[i] = 2.0;
    call->bind();
    call->outputs[0].buffer = stream.buffer(call->outputs[0].bytes());
    const Tensor y = call->outputs[0];
    stream.enqueue(std::move(call));
    CHECK(first(stream, y) == (isFirst ? 44.0f : 15.0f));
    // What the call held is free although the call is still there.
    CHECK(bias.buffer.use_count() == 1);
  }
}

TEST("commands run in the order they were enqueued, tasks among ops") {
  Stream stream(1);
  Gate gate(stream);
  Tensor x = filled(stream, {4}, 1.0f);
  std::vector<float> seen;
  const auto look = [&] { seen.push_back(*x.data<float>()); };
  for (double value : {2.0, 3.0, 4.0}) {
    stream.post(look);
    enqueue(stream, "fill", {x}, {{"value", value}});
  }
  stream.post(look);
  CHECK(seen.empty());
  gate.open();
  CHECK(on(stream, [&] { return seen == std::vector<float>{1, 2, 3, 4}; }));
}

TEST("memory is taken when a command runs and freed behind it, however far ahead the caller is") {
  Stream stream(1);
  const size_t bytes = 1 << 20;
  Tensor x = filled(stream, {1 << 18}, 1.0f);
  Gate gate(stream);
  for (int i = 0; i < 50; ++i) x = enqueue(stream, "scale", {x}, {{"factor", 1.0}});
  CHECK_EQUAL(stream.allocator().stats().inUse, bytes);
  gate.open();
  CHECK_EQUAL(first(stream, x), 1.0f);
  CHECK(stream.allocator().stats().peakInUse <= 2 * bytes);
}

TEST("a failure reaches exactly those who depend on it and names op and shapes") {
  Stream stream(1);
  const Tensor table = filled(stream, {10, 4}, 2.0f);
  const Tensor bad = enqueue(stream, "embedding", {integers(stream, {3}, {1, 10, 2}), table});
  const Tensor dependent = enqueue(stream, "add", {bad, bad});
  const Tensor further = enqueue(stream, "scale", {dependent});
  const Tensor independent = enqueue(stream, "embedding", {integers(stream, {3}, {1, 9, 2}), table});
  CHECK_EQUAL(first(stream, independent), 2.0f);
  const auto failure = failureOf(stream, further);
  CHECK(failure);
  CHECK_EQUAL(failure->code(), "INVALID_TOKEN");
  CHECK_CONTAINS(failure->what(), "embedding(ids [3], table [10, 4])");
  CHECK_CONTAINS(failure->what(), "id 10 at position 1");
  CHECK(!failureOf(stream, table));
  CHECK(on(stream, [&] { return stream.takeFailure(); }) == failure);
  CHECK(!on(stream, [&] { return stream.takeFailure(); }));
}

TEST("state that an op would have updated stays valid when its inputs failed") {
  Stream stream(1);
  const Tensor bad = enqueue(stream, "embedding", {integers(stream, {1}, {-1}), filled(stream, {2, 4}, 1.0f)});
  const Tensor total = filled(stream, {1}, 5.0f);
  enqueue(stream, "square_norm", {bad, total});
  CHECK_EQUAL(first(stream, total), 5.0f);
}

TEST("running out of memory fails one command and leaves the stream usable") {
  Stream stream(1, 1 << 20);
  const Tensor x = filled(stream, {150000}, 1.0f);
  const Tensor tooLarge = enqueue(stream, "scale", {x}, {{"factor", 2.0}});
  const auto failure = failureOf(stream, tooLarge);
  CHECK(failure);
  CHECK_EQUAL(failure->code(), "OUT_OF_MEMORY");
  CHECK_EQUAL(first(stream, enqueue(stream, "sum", {x})), 150000.0f);
}

TEST("recorded commands run only when replayed, as often as asked") {
  Stream stream(1);
  const Tensor x = filled(stream, {8}, 1.0f), total = filled(stream, {1}, 0.0f);
  stream.beginRecording();
  enqueue(stream, "square_norm", {x, total});
  const auto program = stream.endRecording();
  CHECK_EQUAL(first(stream, total), 0.0f);
  stream.replay(program, 5, {});
  CHECK_EQUAL(first(stream, total), 40.0f);
  stream.replay(program, 2, {});
  CHECK_EQUAL(first(stream, total), 56.0f);
}

TEST("a replay ends with the round that sets the stop flag") {
  Stream stream(1);
  const Tensor logits = filled(stream, {2, 16}, 0.0f), position = integers(stream, {1}, {0});
  const Tensor stop = integers(stream, {1}, {0}), tokens = integers(stream, {2, 7}, IntList(14, -1));
  stream.beginRecording();
  enqueue(stream, "greedy",
          {logits, integers(stream, {2}, {0, 0}), integers(stream, {2}, {0, 0}), tokens, position, stop});
  stream.replay(stream.endRecording(), 1000, stop);
  CHECK_EQUAL(on(stream, [&] { return *position.data<int32_t>(); }), 7);
  CHECK(!on(stream, [&] { return stream.takeFailure(); }));
}

TEST("stopping a stream ends a replay in its middle and drops what is queued then and later") {
  Stream stream(1);
  const Tensor x = filled(stream, {8}, 1.0f), total = filled(stream, {1}, 0.0f);
  stream.beginRecording();
  enqueue(stream, "square_norm", {x, total});
  stream.replay(stream.endRecording(), 2000000000, {});
  while (stream.queued() > 0) std::this_thread::yield();
  const auto held = std::make_shared<bool>(false);
  stream.post([held] { *held = true; });
  stream.stop();
  CHECK_EQUAL(held.use_count(), 1);
  stream.post([held] { *held = true; });
  stream.stop();
  CHECK_EQUAL(held.use_count(), 1);
  CHECK(!*held);
}

TEST("a replay whose program fails stops at once and says why") {
  Stream stream(1);
  const Tensor stop = integers(stream, {1}, {0}), position = integers(stream, {1}, {3});
  stream.beginRecording();
  enqueue(stream, "greedy",
          {filled(stream, {1, 4}, 0.0f), integers(stream, {1}, {0}), integers(stream, {1}, {0}),
           integers(stream, {1, 3}, {0, 0, 0}), position, stop});
  stream.replay(stream.endRecording(), 2000000000, stop);
  const auto failure = failureOf(stream, stop);
  CHECK(failure);
  CHECK_EQUAL(failure->code(), "INVALID_SHAPE");
}

TEST("a recording that is resumed goes on where it was, without what ran meanwhile") {
  Stream stream(1);
  const Tensor x = filled(stream, {8}, 1.0f), total = filled(stream, {1}, 0.0f), other = filled(stream, {1}, 0.0f);
  stream.beginRecording();
  enqueue(stream, "square_norm", {x, total});
  const auto begun = stream.endRecording();
  enqueue(stream, "square_norm", {x, other});
  stream.resumeRecording(begun);
  enqueue(stream, "square_norm", {x, total});
  ERROR_OF("INVALID_ARGUMENT", stream.resumeRecording(begun));
  stream.replay(stream.endRecording(), 1, {});
  CHECK_EQUAL(first(stream, total), 16.0f);
  CHECK_EQUAL(first(stream, other), 8.0f);
}

TEST("recordings do not nest and do not end before they begin") {
  Stream stream(1);
  ERROR_OF("INVALID_ARGUMENT", stream.endRecording());
  stream.beginRecording();
  ERROR_OF("INVALID_ARGUMENT", stream.beginRecording());
  CHECK(stream.endRecording()->calls.empty());
}

TEST("destroying a stream with a full queue neither hangs nor keeps memory") {
  std::weak_ptr<Buffer> pending;
  {
    Stream stream(1);
    Tensor x = filled(stream, {8}, 1.0f);
    Gate gate(stream);
    for (int i = 0; i < 100; ++i) x = enqueue(stream, "scale", {x});
    pending = x.buffer;
  }
  CHECK(pending.expired());
}

TEST("a stream counts its commands and their floating point operations") {
  Stream stream(2);
  const Tensor y = enqueue(stream, "linear", {filled(stream, {5, 16}, 1.0f), filled(stream, {8, 16}, 0.5f)});
  CHECK_EQUAL(first(stream, y), 8.0f);
  CHECK_EQUAL(stream.stats().commands, 1u);
  CHECK_EQUAL(stream.stats().flops, 2.0 * 5 * 16 * 8);
}

}  // namespace
}  // namespace hint
