// Tests the host side of the CUDA back end when the CUDA runtime refuses a call, in the emulator.
//   hint_cuda_host_tests [WORDS]   runs the tests whose name contains WORDS
#include <cstdlib>
#include <utility>

#include "native/tests/check.h"
#include "native/tests/emulator/emulated_device.h"

namespace hint {
namespace {

using namespace testing;

constexpr int kIllegalAddress = 700, kNotSupported = 801;

TEST("a kernel that faults after its copy was queued is not read as if it had run") {
  const auto stream = openEmulated();
  const Tensor x = written(*stream, DType::f32, 3.0f);
  CHECK_EQUAL(valueOf<float>(*stream, x), 3.0f);
  {
    const Refusal refusal("cudaEventSynchronize", kIllegalAddress);
    ERROR_OF("DEVICE_LOST", valueOf<float>(*stream, x));
  }
  // A lost device stays lost, even when later CUDA calls succeed.
  ERROR_OF("DEVICE_LOST", valueOf<float>(*stream, x));
  enqueueIncrement(*stream, x, x);
  ERROR_OF("DEVICE_LOST", waitFor(*stream));
}

/// x after five rounds of x = x + 1 in two replays, and the number of commands that ran without a graph.
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
  // Commands of a graph are not counted: with one, only the first of the five rounds of two commands is.
  CHECK_EQUAL(calls, uint64_t{10});
  CHECK_EQUAL(replayed().second, uint64_t{2});
}

}  // namespace
}  // namespace hint
