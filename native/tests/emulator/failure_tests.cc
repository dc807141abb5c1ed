// Tests what the user is told when CUDA cannot be used, runs out of memory or fails, and what still works afterwards.
#include <future>
#include <string>

#include "native/runtime/cuda_library.h"
#include "native/tests/check.h"
#include "native/tests/emulator/emulated_device.h"

namespace hint {
namespace {

using namespace testing;

constexpr int kInvalidValue = 1, kOutOfMemory = 2, kUnknownDevice = 100, kIllegalAddress = 700, kNotSupported = 801;

/// The message of the error when a device is opened.
std::string refusalText() { return ERROR_OF("NOT_SUPPORTED", openEmulated()).what(); }

TEST("a driver that is too old is told with its version, the one needed and what to do") {
  const Pretence pretence(12020, 8, 0);
  CHECK_CONTAINS(refusalText(), "the NVIDIA driver is for CUDA 12.2 and this build needs one for 1");
  CHECK_CONTAINS(refusalText(), "install a newer driver");
  CHECK_CONTAINS(refusalText(), "Use the device \"cpu\"");
}

TEST("a machine without a driver, or without a GPU, is told as that") {
  {
    const Pretence pretence(0, 8, 0);
    CHECK_CONTAINS(refusalText(), "no NVIDIA driver is installed");
  }
  {
    const Refusal refusal("cudaGetDeviceCount", kUnknownDevice);
    CHECK_CONTAINS(refusalText(), "no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it");
  }
  const Refusal refusal("cudaGetDeviceProperties", kInvalidValue);
  CHECK_CONTAINS(refusalText(), "GPU 0 does not answer");
}

TEST("a device that is too small is told with what it can do and what is needed") {
  const Pretence pretence(13000, 7, 5);
  CHECK_CONTAINS(refusalText(), "has compute capability 7.5 and 8.0 is needed; use an NVIDIA GPU of 2020 or later");
}

TEST("memory that runs out is told with what to do, and the device stays usable") {
  const auto stream = openEmulated();
  const Tensor one = filled(*stream, {1}, 1.0f);
  CHECK_EQUAL(valueOf<float>(*stream, one), 1.0f);
  const Tensor large = tensorOf(*stream, DType::f32, {1 << 24});
  {
    const Refusal refusal("cudaMalloc", kOutOfMemory);
    auto call = callOf(*stream, "fill", {large});
    stream->enqueue(std::move(call));
    const auto error = ERROR_OF("OUT_OF_MEMORY", waitFor(*stream));
    CHECK_CONTAINS(error.what(), "Lower the batch's token budget or turn on recompute");
  }
  CHECK_EQUAL(valueOf<float>(*stream, enqueue(*stream, "add", {one, one})), 2.0f);
}

TEST("a device without memory to open it says what to do") {
  const Refusal refusal("cudaHostAlloc", kOutOfMemory);
  const auto error = ERROR_OF("OUT_OF_MEMORY", openEmulated());
  CHECK_CONTAINS(error.what(), "end other processes on the device");
}

TEST("a device that a command finds lost stays lost for every later call") {
  const auto stream = openEmulated();
  const Tensor one = filled(*stream, {1}, 1.0f);
  CHECK_EQUAL(valueOf<float>(*stream, one), 1.0f);
  {
    // The next CUDA call, whichever it is, returns the fault of an earlier kernel.
    const Refusal refusal("cudaMemcpyAsync", kIllegalAddress);
    const auto error = ERROR_OF("DEVICE_LOST", valueOf<float>(*stream, one));
    CHECK_CONTAINS(error.what(), "start the process again");
  }
  ERROR_OF("DEVICE_LOST", valueOf<float>(*stream, one));
  enqueueIncrement(*stream, one, one);
  ERROR_OF("DEVICE_LOST", waitFor(*stream));
}

TEST("a call that is refused without harm fails its own command and nothing else") {
  const auto stream = openEmulated();
  const Tensor one = filled(*stream, {1}, 1.0f);
  CHECK_EQUAL(valueOf<float>(*stream, one), 1.0f);
  {
    const Refusal refusal("cudaMemcpyAsync", kInvalidValue);
    ERROR_OF("INTERNAL", valueOf<float>(*stream, one));
  }
  CHECK_EQUAL(valueOf<float>(*stream, one), 1.0f);
}

TEST("without events results still arrive, in their order, and the device is not taken as lost") {
  // The first two events are those of uploads.
  Refusal creation("cudaEventCreateWithFlags", kOutOfMemory, 2);
  const auto stream = openEmulated();
  const Tensor one = filled(*stream, {1}, 1.0f);
  CHECK_EQUAL(valueOf<float>(*stream, one), 1.0f);
  const Refusal recording("cudaEventRecord", kOutOfMemory);
  CHECK_EQUAL(valueOf<float>(*stream, one), 1.0f);
}

/// x after five rounds of x = x + 1.
float fiveRounds(Stream& stream) {
  const Tensor x = filled(stream, {1}, 0.0f), one = filled(stream, {1}, 1.0f);
  stream.beginRecording();
  enqueueIncrement(stream, x, one);
  const auto program = stream.endRecording();
  stream.replay(program, 3, {});
  stream.replay(program, 2, {});
  return valueOf<float>(stream, x);
}

TEST("a graph that the driver does not launch is replayed call by call") {
  const auto stream = openEmulated();
  const Refusal refusal("cudaGraphLaunch", kNotSupported);
  CHECK_EQUAL(fiveRounds(*stream), 5.0f);
}

TEST("a device that is lost while a graph is launched rejects as lost") {
  const auto stream = openEmulated();
  const Refusal refusal("cudaGraphLaunch", kIllegalAddress);
  ERROR_OF("DEVICE_LOST", fiveRounds(*stream));
}

TEST("a refused graph leaves nothing behind") {
  const auto stream = openEmulated();
  CHECK_EQUAL(fiveRounds(*stream), 5.0f);
  const size_t before = stream->allocator().stats().inUse;
  {
    const Refusal refusal("cudaGraphInstantiate", kNotSupported);
    for (int i = 0; i < 3; ++i) CHECK_EQUAL(fiveRounds(*stream), 5.0f);
  }
  // The closure of the last command is destroyed when the stream takes the next.
  waitFor(*stream);
  CHECK_EQUAL(stream->allocator().stats().inUse, before);
}

}  // namespace
}  // namespace hint
