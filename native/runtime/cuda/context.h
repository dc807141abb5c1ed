#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "native/core/buffer.h"
#include "native/core/call.h"
#include "native/runtime/allocator.h"
#include "native/runtime/cuda/check.h"
#include "native/runtime/cuda/faults.h"

namespace hint::cuda {

class Gemm;

/// A stream of a device that does not wait for the legacy stream.
class OwnStream {
 public:
  explicit OwnStream(int device);
  ~OwnStream() { cudaStreamDestroy(stream_); }
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

/// Host memory through which bytes go to the device: two halves in turn, so that copying in never waits for more than
/// the half before the last.
class Staging {
 public:
  explicit Staging(cudaStream_t stream);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  void upload(void* to, const void* from, size_t bytes);

 private:
  struct Empty {};
  /// What a constructor that goes on from here has taken is given back when it throws.
  Staging(cudaStream_t stream, Empty) : stream_(stream) {}

  static constexpr size_t kHalf = size_t{16} << 20;
  const cudaStream_t stream_;
  unsigned char* memory_ = nullptr;
  cudaEvent_t done_[2] = {};
  size_t used_ = 0;
  int half_ = 0;
};

/// What the kernels of one stream share. Lives on the stream's thread; current() is the one of the calling thread.
class Context {
 public:
  explicit Context(int device);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  static Context& current();
  /// Makes this the calling thread's context; kernels take scratch memory from `allocator`.
  void enter(std::shared_ptr<Allocator> allocator);

  cudaStream_t stream() const { return stream_; }
  int device() const { return device_; }
  int multiprocessors() const { return multiprocessors_; }
  int sharedMemoryPerBlock() const { return sharedMemoryPerBlock_; }
  Gemm& gemm() { return *gemm_; }
  Staging& staging() { return staging_; }

  /// Called before each command: forgets tables when there are too many.
  void beginCommand();
  /// The integers on the device, until the command ends. Equal lists, such as the offsets
  /// of a batch, are copied once.
  const int32_t* table(const IntList& values);

  /// Memory for the kernels of the command in hand; what is captured into a graph keeps it as long as the graph.
  std::shared_ptr<Buffer> scratch(size_t bytes);

  /// Words that are zero, for kernels that count in them and leave them zero.
  uint32_t* counters(int64_t count);

  /// Memory in which matrix products keep partial sums: one for the stream, because its products run one after the
  /// other, in a graph too.
  void* productWorkspace(size_t bytes);

  /// A word in which the command's kernels report values they cannot accept.
  FaultWord* faultWord(FaultText text);
  /// The checks behind the words taken since the last call, without publishing them.
  std::vector<std::shared_ptr<Faults::Check>> takeChecks() { return std::exchange(checks_, {}); }
  Faults& faults() { return *faults_; }
  const std::shared_ptr<Faults>& sharedFaults() { return faults_; }

  /// Between these, commands are captured instead of run, and tables and scratch memory stay alive in `keep`.
  void beginKeeping(std::vector<std::shared_ptr<Buffer>>* keep) { keep_ = keep; }
  void endKeeping() { keep_ = nullptr; }

 private:
  struct Hash {
    size_t operator()(const IntList& values) const;
  };

  const int device_;
  const OwnStream stream_;
  int multiprocessors_ = 0, sharedMemoryPerBlock_ = 0;
  Staging staging_;
  std::shared_ptr<Allocator> allocator_;
  std::shared_ptr<Faults> faults_;
  std::unique_ptr<Gemm> gemm_;
  std::unordered_map<IntList, std::shared_ptr<Buffer>, Hash> tables_;
  std::shared_ptr<Buffer> counters_, productWorkspace_;
  std::vector<std::shared_ptr<Faults::Check>> checks_;
  std::vector<std::shared_ptr<Buffer>>* keep_ = nullptr;
};

/// Typed scratch memory of the command in hand. It may be handed out again once the command's kernels are queued: what
/// comes later on the stream runs later.
template <typename T>
class Scratch {
 public:
  explicit Scratch(int64_t count)
      : buffer_(Context::current().scratch(static_cast<size_t>(count > 0 ? count : 1) * sizeof(T))) {}
  T* get() const { return static_cast<T*>(buffer_->data()); }
  operator T*() const { return get(); }

 private:
  std::shared_ptr<Buffer> buffer_;
};

}  // namespace hint::cuda
