#pragma once

#include <functional>

#include "native/collectives/nccl/nccl.h"
#include "native/collectives/nccl_library.h"
#include "native/runtime/cuda/context.h"

namespace hint::nccl {

/// Collectives of GPUs, on a CUDA stream of their own. No call of NCCL waits, and what has been launched is polled for,
/// so that an interrupt ends it, on the GPU too. NCCL chooses in which order terms are added.
class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(const NcclPlace& place, const Interrupt& interrupt);
  ~NcclCommunicator() override;

  DeviceType type() const override { return DeviceType::cuda; }
  int rank() const override { return place_.rank; }
  int size() const override { return place_.size; }
  void reduce(std::span<const Part> parts) override;
  void allReduce(std::span<const Part> parts) override;
  void broadcast(std::span<const Part> parts) override;
  void gather(std::span<const Part> parts, int root) override;
  std::vector<std::vector<uint8_t>> exchange(const std::vector<uint8_t>& own) override;
  void barrier() override;
  void close() override;

 private:
  /// Launches what `launch` calls together, and returns once the GPU has done it.
  void run(const std::function<void()>& launch);
  /// Returns once NCCL has nothing left to set up or to launch.
  void settle(const char* what);
  /// Throws where NCCL has found an error, or `result` is one.
  void require(Result result, const char* what);
  [[noreturn]] void failCall(Result result, const char* what);
  /// Throws the interrupt's error, after it has ended what is under way.
  void checkInterrupt();
  void abort();
  /// `bytes` of every rank, in their order.
  std::vector<uint8_t> gatherAll(const void* own, size_t bytes);

  const NcclPlace place_;
  const Interrupt& interrupt_;
  const cuda::OwnStream stream_;
  Comm comm_ = nullptr;
};

}  // namespace hint::nccl
