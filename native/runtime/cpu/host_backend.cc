#include <cstring>

#include "native/core/error.h"
#include "native/runtime/backend.h"
#include "native/runtime/cpu/simulated_rounding.h"
#include "native/runtime/cpu/widened_call.h"
#include "native/runtime/parallel.h"

namespace hint {
namespace {

/// Bytes that a thread copies at least.
constexpr int64_t kCopyGrain = 1 << 20;

bool readsAsStored(ReadsBf16 reads, const Call& call) {
  if (reads == ReadsBf16::forward) return !call.backward && !isRoundingSimulated();
  return reads == ReadsBf16::always;
}

class HostBackend final : public Backend {
 public:
  DeviceType type() const override { return DeviceType::cpu; }
  std::unique_ptr<MemorySource> memory() const override { return hostMemory(); }
  void enter(std::shared_ptr<Allocator>) override {}

  void run(Call& call) override {
    const Kernels& kernels = call.spec->cpu;
    const auto kernel = call.backward ? kernels.backward : kernels.forward;
    if (!kernel)
      fail("NOT_SUPPORTED", call.describe(), ": this op has no ", call.backward ? "backward" : "forward",
           " pass on the CPU.");
    if (readsAsStored(kernels.readsBf16, call) || !hasBf16(call))
      kernel(call);
    else
      runWidened(call, kernel);
  }

  void upload(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, size_t bytes) override {
    parallelFor(static_cast<int64_t>(bytes), kCopyGrain, [&](int64_t begin, int64_t end) {
      std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin,
                  static_cast<size_t>(end - begin));
    });
  }
  void whenDone(Then then) override { then(nullptr); }
  std::shared_ptr<Mark> mark() override { return nullptr; }
  Checks takeChecks() override { return {}; }

  void replay(Program& program, int times, const Tensor& stop, const std::atomic<bool>& cancel,
              const std::function<void(Call&)>& runCall) override {
    for (int round = 0; round < times && !program.calls.empty(); ++round) {
      for (const auto& call : program.calls) {
        if (cancel) return;
        runCall(*call);
      }
      if (!stop) continue;
      if (stop.buffer->failure) return;
      requireStop(stop);
      if (*stop.data<int32_t>() != 0) return;
    }
  }
};

}  // namespace

std::unique_ptr<Backend> hostBackend() { return std::make_unique<HostBackend>(); }

}  // namespace hint
