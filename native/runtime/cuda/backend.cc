#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "native/runtime/cuda/completions.h"
#include "native/runtime/cuda/context.h"
#include "native/runtime/cuda/event_mark.h"
#include "native/runtime/cuda/gemm.h"
#include "native/runtime/cuda/graph.h"
#include "native/runtime/cuda/kernels.h"
#include "native/runtime/cuda/memory.h"
#include "native/runtime/cuda/notice.h"
#include "native/runtime/cuda_library.h"

namespace hint::cuda {
namespace {

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(int device)
      : context_(device),
        pinned_(std::make_shared<Allocator>(pinnedMemory())),
        completions_(device, context_.stream(), context_.sharedFaults()) {}

  DeviceType type() const override { return DeviceType::cuda; }
  std::unique_ptr<MemorySource> memory() const override { return deviceMemory(context_.device()); }
  void enter(std::shared_ptr<Allocator> allocator) override { context_.enter(std::move(allocator)); }

  void run(Call& call) override {
    onDevice([&] {
      context_.beginCommand();
      runKernel(call);
      checks_ = context_.takeChecks();
    });
  }

  void upload(void* to, const void* from, size_t bytes) override {
    onDevice([&] { context_.staging().upload(to, from, bytes); });
  }

  void download(void* to, const void* from, size_t bytes) override {
    onDevice([&] { copyBack(static_cast<unsigned char*>(to), static_cast<const unsigned char*>(from), bytes); });
  }

  void whenDone(Then then) override {
    try {
      onDevice([&] { context_.publishFaults(); });
    } catch (const Error&) {
      // Checks that could not be published stay unsettled; the following wait reports a lost device.
    }
    completions_.add(std::move(then));
  }

  std::shared_ptr<Mark> mark() override {
    std::shared_ptr<Mark> mark;
    onDevice([&] { mark = std::make_shared<EventMark>(context_.device(), context_.stream()); });
    return mark;
  }

  Checks takeChecks() override { return std::exchange(checks_, {}); }

  void replay(Program& program, int times, const Tensor& stop, const std::atomic<bool>& cancel,
              const std::function<void(Call&)>& runCall) override {
    if (times <= 0 || cancel) return;
    onDevice([&] {
      if (!program.compiled) {
        const HeldTables held(context_);
        // The first round runs call by call, because it uploads tables, chooses algorithms and finds errors.
        auto recorded = std::make_shared<Recorded>(program);
        for (const auto& call : program.calls) runCall(*call);
        if (recorded->failure()) return;
        if (stop) requireStop(stop);
        capture(program, stop, *recorded);
        program.compiled = std::move(recorded);
        --times;
      }
      auto& recorded = *std::static_pointer_cast<Recorded>(program.compiled);
      if (const auto failure = recorded.failure()) throw Error(*failure);
      if (times <= 0 || runGraph(recorded, times)) return;
      for (int round = 0; round < times && !(stop && isSet(stop)); ++round) {
        for (const auto& call : program.calls) {
          if (cancel) return;
          runCall(*call);
        }
        if (recorded.failure()) return;
      }
    });
  }

 private:
  /// What the backend keeps of a program after its first round.
  struct Recorded {
    std::shared_ptr<ReplayGraph> graph;  ///< null: the program runs call by call
    Checks checks;                       ///< of the graph's commands
    std::vector<Buffer*> buffers, written;

    explicit Recorded(const Program& program) {
      std::unordered_set<Buffer*> seen, seenWritten;
      const auto add = [](const Tensor& tensor, std::unordered_set<Buffer*>& seen, std::vector<Buffer*>& list) {
        if (tensor && seen.insert(tensor.buffer.get()).second) list.push_back(tensor.buffer.get());
      };
      for (const auto& call : program.calls) {
        for (const auto* tensors : {&call->inputs, &call->outputs})
          for (const Tensor& tensor : *tensors) add(tensor, seen, buffers);
        for (const Tensor& tensor : call->outputs) add(tensor, seenWritten, written);
        for (size_t i = 0; i < call->inputs.size(); ++i)
          if (call->spec->inputs[i].flags & kMutable) add(call->inputs[i], seenWritten, written);
      }
    }

    std::shared_ptr<const Error> failure() const {
      for (const Buffer* buffer : buffers)
        if (auto failure = buffer->knownFailure()) return failure;
      return nullptr;
    }
  };

  struct HeldTables {
    explicit HeldTables(Context& context) : context(context) { context.holdTables(); }
    ~HeldTables() { context.letTablesGo(); }
    Context& context;
  };

  /// Runs `work`, which calls CUDA. When it finds the device lost, everybody who waits for the device now or later gets
  /// that error.
  template <typename Work>
  void onDevice(const Work& work) {
    completions_.requireDevice();
    try {
      work();
    } catch (const Error& error) {
      if (error.code() == "DEVICE_LOST") completions_.lose(error);
      throw;
    }
  }

  void copyBack(unsigned char* to, const unsigned char* from, size_t bytes) {
    // A copy from the device to pageable memory blocks, so it goes through pinned memory, in pieces of this many bytes.
    constexpr size_t kPiece = size_t{64} << 20;
    for (size_t at = 0; at < bytes; at += kPiece) {
      const size_t count = std::min(kPiece, bytes - at);
      std::shared_ptr<void> piece(pinned_->acquire(count),
                                  [pinned = pinned_, count](void* p) { pinned->release(p, count); });
      check(cudaMemcpyAsync(piece.get(), from + at, count, cudaMemcpyDeviceToHost, context_.stream()),
            "copy from the device");
      if (bytes > kPiece) {
        check(cudaStreamSynchronize(context_.stream()), "copy from the device");
        std::memcpy(to + at, piece.get(), count);
      } else {
        completions_.add([piece, to, count](const std::shared_ptr<const Error>& lost) {
          if (!lost) std::memcpy(to, piece.get(), count);
        });
      }
    }
  }

  /// Captures the program as a graph. When HINT_CUDA_GRAPHS=0 forbids graphs or the driver refuses this one, the
  /// commands run one by one, with the same results and more time of the host.
  void capture(const Program& program, const Tensor& stop, Recorded& recorded) {
    const char* graphs = std::getenv("HINT_CUDA_GRAPHS");
    if (graphs && std::string_view(graphs) == "0") return;
    try {
      recorded.graph = captureProgram(context_, program, stop, [](Call& call) { runKernel(call); });
    } catch (const Error& error) {
      refuse(error);
    }
    for (const CheckedCommands& one : context_.takeChecks())
      if (recorded.graph) addOpen(recorded.checks, {one});
  }

  /// Replays the graph. Returns false when the program has none or the driver refuses it.
  bool runGraph(Recorded& recorded, int times) {
    if (!recorded.graph) return false;
    try {
      recorded.graph->launch(times);
    } catch (const Error& error) {
      recorded.graph = nullptr;
      refuse(error);
      return false;
    }
    for (const CheckedCommands& one : recorded.checks)
      context_.faults().publish(static_cast<Faults::Group&>(*one.check));
    for (Buffer* buffer : recorded.written) {
      buffer->setIntegers(std::nullopt);
      addOpen(buffer->checks, recorded.checks);
    }
    return true;
  }

  /// Accepts that there is no graph. Throws the error when it says that the device is lost.
  static void refuse(const Error& error) {
    if (error.code() == "DEVICE_LOST") throw Error(error);
    static std::once_flag said;
    sayOnce(said,
            std::string("decoding steps run call by call, which is slower, because no CUDA graph could be made: ") +
                error.what() + " HINT_CUDA_GRAPHS=0 does the same without trying.");
  }

  /// The value of the stop flag after all commands so far. Waits for the stream.
  bool isSet(const Tensor& stop) {
    const std::shared_ptr<void> value(pinned_->acquire(sizeof(int32_t)),
                                      [this](void* p) { pinned_->release(p, sizeof(int32_t)); });
    check(
        cudaMemcpyAsync(value.get(), stop.data<int32_t>(), sizeof(int32_t), cudaMemcpyDeviceToHost, context_.stream()),
        "copy from the device");
    check(cudaStreamSynchronize(context_.stream()), "wait for the stream");
    return *static_cast<const int32_t*>(value.get()) != 0;
  }

  static void runKernel(Call& call) {
    const Kernels& kernels = call.spec->cuda;
    const auto kernel = call.backward ? kernels.backward : kernels.forward;
    if (!kernel)
      fail("NOT_SUPPORTED", call.describe(), ": this op has no ", call.backward ? "backward" : "forward",
           " pass on CUDA.");
    kernel(call);
  }

  Context context_;
  std::shared_ptr<Allocator> pinned_;
  Completions completions_;
  Checks checks_;  ///< of the running command
};

std::string versionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

/// A sentence that says why CUDA finds no GPU, and what to do about it.
std::string reasonOf(cudaError_t found, const CudaStatus& status) {
  if (status.driver == 0) return "no NVIDIA driver is installed; install one where there is an NVIDIA GPU";
  if (found == cudaErrorInsufficientDriver)
    return "the NVIDIA driver is for CUDA " + versionText(status.driver) + " and this build needs one for " +
           versionText(status.runtime) + "; install a newer driver, or build with an older CUDA toolkit";
  if (found == cudaSuccess || found == cudaErrorNoDevice)
    return "the machine has no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it";
  return std::string("the NVIDIA driver gives no GPU: ") + cudaGetErrorString(found) +
         "; see what nvidia-smi says, and restart the machine where the driver was updated";
}

/// A sentence that says why this GPU cannot be used; empty when it can.
std::string reasonAgainst(int ordinal, cudaError_t found, const cudaDeviceProp& properties) {
  if (found != cudaSuccess)
    return "GPU " + std::to_string(ordinal) + " does not answer: " + cudaGetErrorString(found) +
           "; see what nvidia-smi says";
  if (properties.major >= 8) return "";
  return std::string("the GPU ") + properties.name + " has compute capability " + std::to_string(properties.major) +
         "." + std::to_string(properties.minor) + " and 8.0 is needed; use an NVIDIA GPU of 2020 or later (Ampere)";
}

/// The GPU's address on the bus: domain, bus, device and function.
std::string addressOf(const cudaDeviceProp& properties) {
  char text[32];
  std::snprintf(text, sizeof text, "%08x:%02x:%02x.0", static_cast<unsigned>(properties.pciDomainID),
                static_cast<unsigned>(properties.pciBusID), static_cast<unsigned>(properties.pciDeviceID));
  return text;
}

CudaStatus status() {
  CudaStatus status;
  cudaRuntimeGetVersion(&status.runtime);
  int count = 0;
  const cudaError_t found = cudaGetDeviceCount(&count);
  cudaDriverGetVersion(&status.driver);
  if (found != cudaSuccess || count == 0) {
    cudaGetLastError();
    status.reason = reasonOf(found, status);
    return status;
  }
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties = {};
    const cudaError_t answer = cudaGetDeviceProperties(&properties, i);
    if (answer != cudaSuccess) cudaGetLastError();
    const std::string reason = reasonAgainst(i, answer, properties);
    if (!reason.empty())
      status.reason = reason;
    else
      status.devices.push_back(
          {i, properties.name, properties.major, properties.minor, properties.totalGlobalMem, addressOf(properties)});
  }
  status.gemmLibrary = gemmLibrary();
  return status;
}

std::unique_ptr<Backend> open(int device) { return std::make_unique<CudaBackend>(device); }

}  // namespace
}  // namespace hint::cuda

extern "C" {
__attribute__((visibility("default"))) extern const hint::CudaLibrary hint_cuda_library;
const hint::CudaLibrary hint_cuda_library = {hint::kCudaAbi, hint::cuda::status, hint::cuda::open,
                                             hint::cuda::kernelsOf};
}
