#include <cuda_runtime.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "native/runtime/cuda/completions.h"
#include "native/runtime/cuda/context.h"
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
    completions_.requireDevice();
    context_.beginCommand();
    runKernel(call);
    for (auto& check : context_.takeChecks()) {
      context_.faults().publish(*check);
      checks_.push_back(std::move(check));
    }
  }

  void upload(void* to, const void* from, size_t bytes) override {
    completions_.requireDevice();
    context_.staging().upload(to, from, bytes);
  }

  void download(void* to, const void* from, size_t bytes) override {
    completions_.requireDevice();
    // Copies to ordinary memory would wait for the stream; these go through pinned memory, piece by piece when large.
    constexpr size_t kPiece = size_t{64} << 20;
    for (size_t at = 0; at < bytes; at += kPiece) {
      const size_t count = std::min(kPiece, bytes - at);
      std::shared_ptr<void> piece(pinned_->acquire(count),
                                  [pinned = pinned_, count](void* p) { pinned->release(p, count); });
      check(cudaMemcpyAsync(piece.get(), static_cast<const unsigned char*>(from) + at, count, cudaMemcpyDeviceToHost,
                            context_.stream()),
            "copy from the device");
      if (bytes > kPiece) {
        check(cudaStreamSynchronize(context_.stream()), "copy from the device");
        std::memcpy(static_cast<unsigned char*>(to) + at, piece.get(), count);
      } else {
        completions_.add([piece, to, count](const std::shared_ptr<const Error>& lost) {
          if (!lost) std::memcpy(to, piece.get(), count);
        });
      }
    }
  }

  void whenDone(Then then) override { completions_.add(std::move(then)); }

  std::vector<std::shared_ptr<DeferredCheck>> takeChecks() override { return std::exchange(checks_, {}); }

  void replay(Program& program, int times, const Tensor& stop, const std::atomic<bool>& cancel,
              const std::function<void(Call&)>& runCall) override {
    if (times <= 0 || cancel) return;
    completions_.requireDevice();
    if (!program.compiled) {
      // The first round runs call by call: it uploads tables, chooses algorithms and finds failures.
      for (const auto& call : program.calls) runCall(*call);
      if (failureOf(program)) return;
      if (stop) requireStop(stop);
      program.compiled = std::make_shared<Recorded>(capture(program, stop));
      --times;
    }
    if (const auto failure = failureOf(program)) throw Error(*failure);
    if (times <= 0) return;
    if (const auto& graph = *std::static_pointer_cast<Recorded>(program.compiled)) {
      graph->launch(times);
      return;
    }
    for (int round = 0; round < times && !(stop && isSet(stop)); ++round) {
      for (const auto& call : program.calls) {
        if (cancel) return;
        runCall(*call);
      }
      if (failureOf(program)) return;
    }
  }

 private:
  /// The graph of a program, or null when it is run call by call.
  using Recorded = std::shared_ptr<ReplayGraph>;

  /// Null where HINT_CUDA_GRAPHS=0 forbids graphs or the driver refuses this one: the same commands run one by one,
  /// which costs the host's time but no result.
  Recorded capture(const Program& program, const Tensor& stop) {
    const char* graphs = std::getenv("HINT_CUDA_GRAPHS");
    if (graphs && std::string_view(graphs) == "0") return nullptr;
    try {
      return captureProgram(context_, program, stop, [](Call& call) { runKernel(call); });
    } catch (const Error& error) {
      completions_.requireDevice();
      context_.takeChecks();
      static std::once_flag said;
      sayOnce(said,
              std::string("decoding steps run call by call, which is slower, because no CUDA graph could be made: ") +
                  error.what() + " HINT_CUDA_GRAPHS=0 does the same without trying.");
      return nullptr;
    }
  }

  /// The stop flag as the commands so far leave it. Waits for the stream.
  bool isSet(const Tensor& stop) {
    const std::shared_ptr<void> value(pinned_->acquire(sizeof(int32_t)),
                                      [this](void* p) { pinned_->release(p, sizeof(int32_t)); });
    check(
        cudaMemcpyAsync(value.get(), stop.data<int32_t>(), sizeof(int32_t), cudaMemcpyDeviceToHost, context_.stream()),
        "copy from the device");
    check(cudaStreamSynchronize(context_.stream()), "wait for the stream");
    return *static_cast<const int32_t*>(value.get()) != 0;
  }

  static std::shared_ptr<const Error> failureOf(const Program& program) {
    for (const auto& call : program.calls)
      for (const auto* tensors : {&call->inputs, &call->outputs})
        for (const Tensor& tensor : *tensors)
          if (tensor)
            if (auto failure = tensor.buffer->knownFailure()) return failure;
    return nullptr;
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
  std::vector<std::shared_ptr<DeferredCheck>> checks_;
};

CudaStatus status() {
  CudaStatus status;
  cudaRuntimeGetVersion(&status.runtime);
  int count = 0;
  const cudaError_t found = cudaGetDeviceCount(&count);
  cudaDriverGetVersion(&status.driver);
  if (found != cudaSuccess || count == 0) {
    cudaGetLastError();
    status.reason = status.driver == 0 ? "no NVIDIA driver is installed"
                    : found == cudaErrorInsufficientDriver
                        ? "the NVIDIA driver is older than this build's CUDA runtime; install a newer driver"
                    : count == 0 && found == cudaSuccess ? "the machine has no NVIDIA GPU"
                                                         : cudaGetErrorString(found);
    return status;
  }
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
    if (properties.major < 8) {
      status.reason = std::string("the GPU ") + properties.name + " has compute capability " +
                      std::to_string(properties.major) + "." + std::to_string(properties.minor) + "; 8.0 is needed";
      continue;
    }
    status.devices.push_back({properties.name, properties.major, properties.minor, properties.totalGlobalMem});
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
