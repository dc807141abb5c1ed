#include "native/tests/device_call.h"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <future>
#include <map>

#include "native/core/error.h"
#include "native/runtime/cuda_library.h"

#ifndef HINT_CUDA_FOLDER
#define HINT_CUDA_FOLDER "."
#endif

namespace hint::testing {
namespace {

using Copies = std::map<std::shared_ptr<Buffer>, std::shared_ptr<Buffer>>;

std::array<std::vector<Tensor>*, 4> groupsOf(Call& call) {
  return {&call.inputs, &call.outputs, &call.gradOutputs, &call.gradInputs};
}

Tensor bytesOf(const std::shared_ptr<Buffer>& buffer) {
  return {buffer, 0, DType::i8, {static_cast<int64_t>(buffer->bytes())}};
}

std::unique_ptr<Call> mirror(Stream& stream, const Call& call, Copies& copies) {
  auto mirrored = std::make_unique<Call>(call);
  for (std::vector<Tensor>* group : groupsOf(*mirrored))
    for (Tensor& tensor : *group) {
      if (!tensor) continue;
      std::shared_ptr<Buffer>& copy = copies[tensor.buffer];
      if (!copy) {
        copy = stream.buffer(tensor.buffer->bytes());
        const auto* from = static_cast<const uint8_t*>(tensor.buffer->data());
        if (from) stream.write(bytesOf(copy), 0, std::vector<uint8_t>(from, from + tensor.buffer->bytes()));
      }
      tensor.buffer = copy;
    }
  return mirrored;
}

using LaunchCounter = int64_t (*)();

/// The counter of launches of the emulated device; null for other devices.
LaunchCounter launchCounter() {
  static const LaunchCounter counter = [] {
    const char* folder = std::getenv("HINT_CUDA_FOLDER");
    const std::string path = std::string(folder ? folder : HINT_CUDA_FOLDER) + "/hint_cuda.so";
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
    return library ? reinterpret_cast<LaunchCounter>(dlsym(library, "hint_emulator_launches")) : nullptr;
  }();
  return counter;
}

/// Runs `reads` on the stream and waits. Throws the first failure of the stream, or of the reads.
template <typename Reads>
void readBack(Stream& stream, const Reads& reads) {
  std::shared_ptr<const Error> failure;
  stream.post([&] {
    try {
      reads();
    } catch (const Error& error) {
      failure = std::make_shared<Error>(error);
    }
  });
  waitFor(stream);
  if (failure) throw Error(*failure);
}

}  // namespace

std::unique_ptr<Stream> openDevice(const std::string& name) {
  if (name != "cuda" && name.rfind("cuda:", 0) != 0)
    fail("INVALID_ARGUMENT", "The device \"", name, "\" is unknown; use cpu, cuda or cuda:N.");
  const int index = name == "cuda" ? 0 : std::stoi(name.substr(5));
  return std::make_unique<Stream>(cudaBackend(HINT_CUDA_FOLDER, index));
}

std::unique_ptr<Call> mirror(Stream& stream, const Call& call) {
  Copies copies;
  return mirror(stream, call, copies);
}

int64_t runOn(Stream& stream, Call& call) {
  Copies copies;
  auto mirrored = mirror(stream, call, copies);
  const LaunchCounter counter = launchCounter();
  int64_t before = 0, after = -1;
  // Counts on the stream's thread, directly before and after the command.
  if (counter) stream.post([&] { before = counter(); });
  stream.enqueue(std::move(mirrored));
  if (counter) stream.post([&] { after = counter(); });
  readBack(stream, [&] {
    for (const auto& [host, device] : copies)
      if (host->data()) stream.read(bytesOf(device), host->data());
  });
  return counter ? after - before : -1;
}

void replayOn(Stream& stream, Call& call) {
  Copies copies;
  auto mirrored = mirror(stream, call, copies);
  stream.beginRecording();
  stream.enqueue(std::move(mirrored));
  const auto program = stream.endRecording();
  stream.replay(program, 1, {});
  // Memory that the recording does not hold is handed out to these buffers.
  constexpr uint8_t kByte = 0x5A;
  std::vector<Tensor> others;
  for (size_t size : {256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 32768, 65536, 131072})
    for (int times = 0; times < 2; ++times) {
      others.push_back(bytesOf(stream.buffer(size)));
      stream.write(others.back(), 0, std::vector<uint8_t>(size, kByte));
    }
  for (const auto& [host, device] : copies)
    if (const auto* from = static_cast<const uint8_t*>(host->data()))
      stream.write(bytesOf(device), 0, std::vector<uint8_t>(from, from + host->bytes()));
  stream.replay(program, 1, {});
  std::vector<std::vector<uint8_t>> kept;
  for (const Tensor& other : others) kept.emplace_back(other.bytes());
  readBack(stream, [&] {
    for (const auto& [host, device] : copies)
      if (host->data()) stream.read(bytesOf(device), host->data());
    for (size_t i = 0; i < others.size(); ++i) stream.read(others[i], kept[i].data());
  });
  for (const auto& bytes : kept)
    if (bytes != std::vector<uint8_t>(bytes.size(), kByte))
      fail("INTERNAL", call.describe(), ": replayed, it wrote to ", bytes.size(), " bytes that are another's.");
}

void waitFor(Stream& stream) {
  std::promise<void> done;
  std::shared_ptr<const Error> failure;
  Checks checks;
  stream.post([&] {
    failure = stream.takeFailure();
    checks = stream.takeChecks();
    stream.whenDone([&](const std::shared_ptr<const Error>& lost) {
      if (lost) failure = lost;
      done.set_value();
    });
  });
  done.get_future().wait();
  for (const auto& check : checks)
    if (!failure) failure = check.error();
  if (failure) throw Error(*failure);
}

}  // namespace hint::testing
