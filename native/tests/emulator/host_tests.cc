// What the host side of the CUDA back end does when the CUDA runtime refuses a call, in the emulator.
//   hint_cuda_host_tests [WORDS]   runs the tests whose name contains WORDS
#include <dlfcn.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "native/core/table.h"
#include "native/runtime/cuda_library.h"
#include "native/runtime/stream.h"
#include "native/tests/check.h"
#include "native/tests/device_call.h"

namespace hint {
namespace {

constexpr int kIllegalAddress = 700, kNotSupported = 801;

/// Lets calls of the emulated CUDA runtime fail until it goes out of scope.
class Refusal {
 public:
  Refusal(const char* call, int code, int after = 0) { refuse()(call, after, code); }
  ~Refusal() { refuse()("", 0, 0); }

 private:
  using Refuse = void (*)(const char*, int, int);
  static Refuse refuse() {
    void* library = dlopen(HINT_CUDA_FOLDER "/hint_cuda.so", RTLD_NOW | RTLD_NOLOAD);
    const auto found = library ? reinterpret_cast<Refuse>(dlsym(library, "hint_emulator_refuse")) : nullptr;
    if (!found) fail("INTERNAL", "The library in ", HINT_CUDA_FOLDER, " is not the emulator's.");
    return found;
  }
};

std::unique_ptr<Stream> openEmulated() { return std::make_unique<Stream>(cudaBackend(HINT_CUDA_FOLDER, 0)); }

Tensor tensorOf(Stream& stream, DType dtype, Shape shape) {
  Tensor tensor{nullptr, 0, dtype, std::move(shape)};
  tensor.buffer = stream.buffer(tensor.bytes());
  return tensor;
}

template <typename T>
Tensor written(Stream& stream, DType dtype, T value) {
  const Tensor tensor = tensorOf(stream, dtype, {1});
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  stream.write(tensor, 0, std::vector<uint8_t>(bytes, bytes + sizeof value));
  return tensor;
}

template <typename T>
T valueOf(Stream& stream, const Tensor& tensor) {
  T value = {};
  std::shared_ptr<const Error> failure;
  stream.post([&] {
    try {
      stream.read(tensor, &value);
    } catch (const Error& error) {
      failure = std::make_shared<Error>(error);
    }
  });
  testing::waitFor(stream);
  if (failure) throw Error(*failure);
  return value;
}

/// x = x + y, in place through a copy.
void enqueueIncrement(Stream& stream, const Tensor& x, const Tensor& y) {
  auto call = std::make_unique<Call>(findOp("add"));
  call->inputs = {x, y};
  call->inputPresent = {true, true};
  for (const AttributeSpec& attribute : call->spec->attributes) call->attributes.push_back(attribute.defaultValue);
  call->bind();
  call->outputs[0].buffer = stream.buffer(call->outputs[0].bytes());
  const Tensor sum = call->outputs[0];
  stream.enqueue(std::move(call));
  stream.assign(x, sum);
}

TEST("a kernel that faults after its copy was queued is not read as if it had run") {
  const auto stream = openEmulated();
  const Tensor x = written(*stream, DType::f32, 3.0f);
  CHECK_EQUAL(valueOf<float>(*stream, x), 3.0f);
  {
    const Refusal refusal("cudaEventSynchronize", kIllegalAddress);
    ERROR_OF("DEVICE_LOST", valueOf<float>(*stream, x));
  }
  // A lost device stays lost, whatever the runtime says of later calls.
  ERROR_OF("DEVICE_LOST", valueOf<float>(*stream, x));
  enqueueIncrement(*stream, x, x);
  ERROR_OF("DEVICE_LOST", testing::waitFor(*stream));
}

/// x after five rounds of x = x + 1, in two replays, and how many commands ran call by call.
std::pair<float, uint64_t> replayed() {
  const auto stream = openEmulated();
  const Tensor x = written(*stream, DType::f32, 0.0f), one = written(*stream, DType::f32, 1.0f);
  const Tensor stop = written<int32_t>(*stream, DType::i32, 0);
  stream->beginRecording();
  enqueueIncrement(*stream, x, one);
  const auto program = stream->endRecording();
  stream->replay(program, 3, stop);
  stream->replay(program, 2, stop);
  const auto value = valueOf<float>(*stream, x);
  const int32_t yes = 1;
  const auto* bytes = reinterpret_cast<const uint8_t*>(&yes);
  stream->write(stop, 0, std::vector<uint8_t>(bytes, bytes + sizeof yes));
  stream->replay(program, 2, stop);
  CHECK_EQUAL(valueOf<float>(*stream, x), value);
  return {value, stream->stats().commands};
}

TEST("a refused graph does not end generation") {
  CHECK_EQUAL(replayed().first, 5.0f);
  const Refusal refusal("cudaGraphInstantiate", kNotSupported);
  CHECK_EQUAL(replayed().first, 5.0f);
}

TEST("HINT_CUDA_GRAPHS=0 replays without graphs") {
  setenv("HINT_CUDA_GRAPHS", "0", 1);
  const uint64_t calls = replayed().second;
  unsetenv("HINT_CUDA_GRAPHS");
  // Of five rounds of two commands, a graph runs four without being counted.
  CHECK_EQUAL(calls, uint64_t{10});
  CHECK_EQUAL(replayed().second, uint64_t{2});
}

}  // namespace
}  // namespace hint
