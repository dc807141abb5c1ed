#include "native/bench/device_bench.h"

#include <algorithm>
#include <chrono>

#include "native/core/table.h"
#include "native/tests/case.h"
#include "native/tests/device_call.h"

namespace hint::bench {
namespace {

/// Integer inputs that the op updates, with their values before the first run.
std::vector<std::pair<Tensor, std::vector<uint8_t>>> integerState(const Call& call, const Call& onDevice) {
  std::vector<std::pair<Tensor, std::vector<uint8_t>>> state;
  for (size_t i = 0; i < call.inputs.size() && !call.backward; ++i) {
    const Tensor& tensor = call.inputs[i];
    if (!call.inputPresent[i] || tensor.dtype != DType::i32 || !(call.spec->inputs[i].flags & kMutable)) continue;
    const auto* bytes = static_cast<const uint8_t*>(addressOf(tensor));
    state.emplace_back(onDevice.inputs[i], std::vector<uint8_t>(bytes, bytes + tensor.bytes()));
  }
  return state;
}

OpCase caseOf(std::vector<std::optional<CaseInput>> inputs) {
  OpCase example;
  example.name = "roof";
  example.inputs = std::move(inputs);
  return example;
}

}  // namespace

double secondsOnDevice(Stream& stream, const Call& call, int samples) {
  const auto onDevice = testing::mirror(stream, call);
  const auto state = integerState(call, *onDevice);
  const auto run = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) stream.enqueue(std::make_unique<Call>(*onDevice));
    testing::waitFor(stream);
  };
  if (samples == 0) {
    const auto start = std::chrono::steady_clock::now();
    run(1);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  if (!state.empty())
    return medianSeconds(
        samples, [&] { run(1); },
        [&] {
          for (const auto& [tensor, bytes] : state) stream.write(tensor, 0, bytes);
          testing::waitFor(stream);
        });
  // Enough runs that the wait at the end is a negligible part.
  const double single = medianSeconds(3, [&] { run(10); }) / 10;
  const auto times = static_cast<int64_t>(std::max(10.0, std::min(1e4, 0.02 / single)));
  return medianSeconds(samples, [&] { run(times); }) / static_cast<double>(times);
}

Roofs measureDeviceRoofs(Stream& stream, DType dtype, int samples) {
  Roofs roofs;
  const testing::Storage storage = dtype == DType::bf16 ? testing::Storage{"x", testing::kOutputs} : testing::Storage{};
  for (int64_t size : samples ? std::vector<int64_t>{4096, 8192} : std::vector<int64_t>{64}) {
    const OpCase product = caseOf({CaseInput{{size, size}}, CaseInput{{size, size}}});
    const Call call = testing::makeCall(findOp("linear"), product, storage);
    const double seconds = secondsOnDevice(stream, call, std::min(samples, 5));
    roofs.gflops = std::max(roofs.gflops, 1e-9 * call.flops() / seconds);
  }
  using Sizes = std::vector<double>;
  for (double megabytes : samples ? Sizes{1.0, 8.0, 32.0, 128.0, 512.0, 2048.0} : Sizes{1.0}) {
    const auto count = static_cast<int64_t>(megabytes * (1 << 20) / 8);
    const Call call = testing::makeCall(findOp("copy"), caseOf({CaseInput{{count}}}));
    const double bytes = 8.0 * static_cast<double>(count);
    roofs.copies.emplace_back(bytes, 1e-9 * bytes / secondsOnDevice(stream, call, std::min(samples, 9)));
    testing::caseAllocator()->trim();
  }
  return roofs;
}

}  // namespace hint::bench
