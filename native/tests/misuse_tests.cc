#include <algorithm>
#include <future>
#include <limits>

#include "native/core/checked.h"
#include "native/core/table.h"
#include "native/runtime/parallel.h"
#include "native/runtime/stream.h"
#include "native/tests/check.h"

namespace hint {
namespace {

constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();

Tensor unwritten(Stream& stream, Shape shape, DType dtype = DType::f32) {
  Tensor tensor{nullptr, 0, dtype, std::move(shape)};
  tensor.buffer = stream.buffer(tensor.bytes());
  return tensor;
}

template <typename Value>
Tensor written(Stream& stream, Shape shape, DType dtype, const std::vector<Value>& values) {
  Tensor tensor = unwritten(stream, std::move(shape), dtype);
  tensor.buffer->ensure();
  std::copy(values.begin(), values.end(), tensor.data<Value>());
  return tensor;
}

Tensor floats(Stream& stream, Shape shape, float value = 1.0f) {
  const auto count = static_cast<size_t>(elementCount(shape));
  return written(stream, std::move(shape), DType::f32, std::vector<float>(count, value));
}

std::unique_ptr<Call> bound(const char* op, std::vector<Tensor> inputs) {
  auto call = std::make_unique<Call>(findOp(op));
  call->inputPresent.assign(inputs.size(), true);
  call->inputs = std::move(inputs);
  for (const AttributeSpec& attribute : call->spec->attributes) call->attributes.push_back(attribute.defaultValue);
  call->bind();
  return call;
}

Tensor enqueue(Stream& stream, std::unique_ptr<Call> call) {
  for (Tensor& output : call->outputs) output.buffer = stream.buffer(output.bytes());
  Tensor first = call->outputs.empty() ? Tensor{} : call->outputs[0];
  stream.enqueue(std::move(call));
  return first;
}

template <typename Task>
auto on(Stream& stream, const Task& task) {
  std::promise<decltype(task())> promise;
  auto result = promise.get_future();
  stream.post([&] { promise.set_value(task()); });
  return result.get();
}

/// Code and message of a tensor's error, after all queued commands have run.
std::string failureOf(Stream& stream, const Tensor& tensor) {
  const auto failure = on(stream, [&] { return tensor.buffer->knownFailure(); });
  return failure ? failure->code() + ": " + failure->what() : "";
}

/// A call and its backward pass, which inherits its outcome, as the binding makes them.
struct Pair {
  std::unique_ptr<Call> forward, backward;
  Tensor gradient;
};

Pair embeddingOf(Stream& stream, const Tensor& ids, const Tensor& table) {
  Pair pair{bound("embedding", {ids, table}), nullptr, floats(stream, table.shape, 0.0f)};
  pair.forward->forwardOutcome = std::make_shared<Outcome>();
  for (Tensor& output : pair.forward->outputs) output.buffer = stream.buffer(output.bytes());
  pair.backward = std::make_unique<Call>(*pair.forward);
  pair.backward->inputs[1].buffer.reset();
  pair.backward->outputs[0].buffer.reset();
  pair.backward->backward = true;
  pair.backward->gradOutputs = {floats(stream, pair.forward->outputs[0].shape)};
  pair.backward->gradInputs = {Tensor{}, pair.gradient};
  pair.backward->betas = {0.0f, 0.0f};
  pair.backward->checkGradients();
  return pair;
}

TEST("a product of sizes that 64 bits do not hold is an error and never a small number") {
  CHECK_EQUAL(checkedProduct(1 << 20, 1 << 20), int64_t{1} << 40);
  CHECK_EQUAL(checkedProduct(kLargest, 1), kLargest);
  CHECK_CONTAINS(ERROR_OF("INVALID_SHAPE", checkedProduct(kLargest / 2 + 1, 2)).what(), "times 2");
  ERROR_OF("INVALID_SHAPE", checkedProduct(int64_t{1} << 32, int64_t{1} << 32));
  ERROR_OF("INVALID_SHAPE", checkedBytes(kLargest / 4 + 1, 4));
  ERROR_OF("INVALID_SHAPE", checkedBytes(-1, 4));
  CHECK_EQUAL(roundedUp(257, 32), 288u);
  CHECK_EQUAL(roundedUp(SIZE_MAX - 3, 64), SIZE_MAX / 64 * 64);
}

TEST("a shape whose sides multiply past any memory is refused by its name") {
  const Error error = ERROR_OF("INVALID_SHAPE", elementCount({int64_t{1} << 32, int64_t{1} << 32}));
  CHECK_CONTAINS(error.what(), "[4294967296, 4294967296] is too large");
  ERROR_OF("INVALID_SHAPE", elementCount({kLargest, kLargest, 2}));
  ERROR_OF("INVALID_SHAPE", elementCount({-1, 4}));
  CHECK_EQUAL(elementCount({1 << 20, 1 << 20}), int64_t{1} << 40);
}

TEST("a shape without elements does not make loops over its other sides endless") {
  ERROR_OF("INVALID_SHAPE", elementCount({kLargest, 0}));
  CHECK_EQUAL(elementCount({1 << 20, 0}), 0);
  CHECK_EQUAL(elementCount({}), 1);
}

TEST("an allocation of more bytes than there are is an error that leaves the allocator usable") {
  Allocator allocator(hostMemory(), 1 << 20);
  for (const size_t bytes : {SIZE_MAX, SIZE_MAX - 100, SIZE_MAX / 2, size_t{1} << 50})
    ERROR_OF("OUT_OF_MEMORY", allocator.acquire(bytes));
  CHECK_EQUAL(allocator.stats().inUse, 0u);
  allocator.release(allocator.acquire(1000), 1000);
}

TEST("a backward pass inherits the failure of its forward pass and touches no memory") {
  Stream stream(1);
  const Tensor ids = written<int32_t>(stream, {2}, DType::i32, {0, 1 << 20});
  Pair pair = embeddingOf(stream, ids, floats(stream, {4, 8}));
  stream.enqueue(std::move(pair.forward));
  stream.enqueue(std::move(pair.backward));
  CHECK_CONTAINS(failureOf(stream, pair.gradient), "INVALID_TOKEN: embedding(ids [2], table [4, 8]): id 1048576");
}

TEST("ids that were written to between the two passes are checked again") {
  Stream stream(1);
  const Tensor ids = written<int32_t>(stream, {2}, DType::i32, {0, 1});
  Pair pair = embeddingOf(stream, ids, floats(stream, {4, 8}));
  stream.enqueue(std::move(pair.forward));
  stream.write(ids, 0, std::vector<uint8_t>(8, 0x7f));
  stream.enqueue(std::move(pair.backward));
  CHECK_CONTAINS(failureOf(stream, pair.gradient), "INVALID_TOKEN");
}

TEST("a tensor that nobody wrote is an error where it is read, and no null pointer") {
  Stream stream(1);
  CHECK_CONTAINS(failureOf(stream, enqueue(stream, bound("scale", {unwritten(stream, {4})}))),
                 "INVALID_ARGUMENT: scale(x [4]): x was never written");
  const Tensor total = unwritten(stream, {1});
  enqueue(stream, bound("square_norm", {floats(stream, {4}), total}));
  CHECK_CONTAINS(failureOf(stream, total), "total was never written");
}

TEST("what an op fills in need not have been written, and what has no elements is never missing") {
  Stream stream(1);
  const Tensor filled = unwritten(stream, {4});
  enqueue(stream, bound("fill", {filled}));
  CHECK_EQUAL(failureOf(stream, filled), "");
  CHECK_EQUAL(failureOf(stream, enqueue(stream, bound("scale", {unwritten(stream, {0, 4})}))), "");
}

TEST("a failed op gives back the memory that its results had taken") {
  Stream stream(1, 1 << 20);
  const Tensor logits = floats(stream, {2, 30000}, std::numeric_limits<float>::quiet_NaN());
  auto call = std::make_unique<Call>(findOp("top_k"));
  call->inputs = {logits};
  call->inputPresent = {true};
  call->attributes = {int64_t{20000}};
  call->bind();
  const size_t before = stream.allocator().stats().inUse;
  const Tensor best = enqueue(stream, std::move(call));
  CHECK_CONTAINS(failureOf(stream, best), "NUMERIC");
  CHECK_EQUAL(stream.allocator().stats().inUse, before);
}

TEST("tensors of another device and released ones are refused by the argument's name") {
  Stream stream(1), other(1);
  const auto call = bound("add", {floats(stream, {4}), floats(other, {4})});
  CHECK_CONTAINS(ERROR_OF("INVALID_ARGUMENT", stream.requireOwn(*call)).what(),
                 "add(a [4], b [4]): b belongs to another device");
  CHECK_CONTAINS(ERROR_OF("INVALID_ARGUMENT", stream.requireOwn(Tensor{}, "The tensor")).what(), "was released");
}

TEST("a tensor is assigned byte for byte, whatever its dtype, and not to a part of itself") {
  Stream stream(1);
  const Tensor from = written<int8_t>(stream, {3}, DType::i8, {1, 2, 3});
  const Tensor to = written<int8_t>(stream, {3}, DType::i8, {0, 0, 0});
  stream.assign(to, from);
  CHECK(on(stream, [&] { return std::equal(to.data<int8_t>(), to.data<int8_t>() + 3, from.data<int8_t>()); }));
  const Tensor base = floats(stream, {4});
  const Tensor head{base.buffer, 0, DType::f32, {3}}, tail{base.buffer, 1, DType::f32, {3}};
  ERROR_OF("INVALID_ARGUMENT", stream.assign(head, tail));
}

TEST("an input that is updated in place shares memory with no other") {
  Stream stream(1);
  const Tensor flag = written<int32_t>(stream, {1}, DType::i32, {0}), tokens = unwritten(stream, {1, 4}, DType::i32);
  const Tensor finished = written<int32_t>(stream, {1}, DType::i32, {0});
  const Error error =
      ERROR_OF("INVALID_ARGUMENT", bound("greedy", {floats(stream, {1, 8}), flag, finished, tokens, flag, finished}));
  CHECK_CONTAINS(error.what(), "token is updated in place and shares memory with position");
}

TEST("gradients are refused where there is none to walk from, none to take, or memory that is read") {
  Stream stream(1);
  const auto call = bound("add", {floats(stream, {4}), floats(stream, {4})});
  call->backward = true;
  call->betas = {0.0f, 0.0f};
  call->gradOutputs = {Tensor{}};
  call->gradInputs = {floats(stream, {4}), Tensor{}};
  CHECK_CONTAINS(ERROR_OF("INVALID_ARGUMENT", call->checkGradients()).what(), "nothing to walk backwards from");
  call->gradOutputs = {call->gradInputs[0]};
  CHECK_CONTAINS(ERROR_OF("INVALID_ARGUMENT", call->checkGradients()).what(), "memory that the backward pass reads");
  call->gradOutputs = {floats(stream, {5})};
  ERROR_OF("INVALID_SHAPE", call->checkGradients());
}

TEST("what a thread of a team throws reaches the caller instead of ending the process") {
  setThreadCount(3);
  const auto refuse = [](int64_t begin, int64_t) { fail("OUT_OF_MEMORY", "part ", begin); };
  ERROR_OF("OUT_OF_MEMORY", parallelFor(300, 1, refuse));
  ERROR_OF("OUT_OF_MEMORY", parallelItems(300, [&](int64_t index) { refuse(index, index); }));
}

TEST("a replay whose stop flag nobody writes fails and does not read it") {
  Stream stream(1);
  const Tensor filled = unwritten(stream, {4}), stop = unwritten(stream, {1}, DType::i32);
  stream.beginRecording();
  enqueue(stream, bound("fill", {filled}));
  ERROR_OF("INVALID_ARGUMENT", stream.replay(std::make_shared<Program>(), 1, {}));
  stream.replay(stream.endRecording(), 3, stop);
  CHECK_CONTAINS(failureOf(stream, filled), "stop flag of a replay was never written");
}

}  // namespace
}  // namespace hint
