#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "native/core/buffer.h"
#include "native/core/call.h"
#include "native/runtime/allocator.h"
#include "native/runtime/cuda/check.h"
#include "native/runtime/cuda/faults.h"
#include "native/runtime/cuda/recent.h"

namespace hint::cuda {

class Gemm;

/// Owns a CUDA stream of one device.
class OwnStream {
 public:
  explicit OwnStream(int device);
  ~OwnStream();
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

/// Pinned host memory through which bytes go to the device. It has two halves that are used in turn, so that one can be
/// filled while the other is copied.
class Staging {
 public:
  explicit Staging(cudaStream_t stream);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  void upload(void* to, const void* from, size_t bytes);

 private:
  void free();
  static constexpr size_t kHalf = size_t{16} << 20;
  const cudaStream_t stream_;
  unsigned char* memory_ = nullptr;
  cudaEvent_t done_[2] = {};
  size_t used_ = 0;
  int half_ = 0;
};

/// State that the kernels of one stream share. It is used on the stream's thread only; current() returns the context of
/// the calling thread.
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

  /// Call before each command. Drops the least recently used tables when there are too many.
  void beginCommand();
  /// The integers in device memory, valid until the command ends. Equal lists, such as the offsets of a batch, are
  /// copied once.
  const int32_t* table(const IntList& values);
  /// Between these two calls no table is dropped: the tables that a program's first round reads must exist when it is
  /// captured.
  void holdTables() { tablesAreHeld_ = true; }
  void letTablesGo() { tablesAreHeld_ = false; }

  /// Memory for the kernels of the running command. Memory of a captured command lives as long as its graph.
  std::shared_ptr<Buffer> scratch(size_t bytes);

  /// `count` words that are zero. A kernel that counts in them must leave them zero.
  uint32_t* counters(int64_t count);

  /// Memory in which matrix products keep partial sums: one for the stream, because its products run one after the
  /// other, in a graph too.
  void* productWorkspace(size_t bytes);

  /// A word in which the kernels of the command report values that they cannot accept.
  FaultWord* faultWord(FaultText text);
  /// Whether the host wrote these integers and all are in [0, count), so that kernels need not check them. False while
  /// commands are captured, because the integers may differ when the graph runs.
  bool areBelow(const Tensor& integers, int64_t count) const;
  /// The checks of all fault words that were taken since the last call.
  Checks takeChecks() { return std::exchange(checks_, {}); }
  /// Queues a copy to the host of the fault words of all commands since the last call. Everybody who waits for later
  /// work sees them.
  void publishFaults();
  Faults& faults() { return *faults_; }
  const std::shared_ptr<Faults>& sharedFaults() { return faults_; }

  /// Between these two calls commands are captured instead of run, and `keep` holds their tables and scratch memory.
  void beginKeeping(std::vector<std::shared_ptr<Buffer>>* keep);
  void endKeeping();

 private:
  struct Hash {
    size_t operator()(const IntList& values) const;
  };
  static constexpr size_t kTables = 2048, kTableBytes = size_t{64} << 20;

  const int device_;
  const OwnStream stream_;
  int multiprocessors_ = 0, sharedMemoryPerBlock_ = 0;
  Staging staging_;
  std::shared_ptr<Allocator> allocator_;
  std::shared_ptr<Faults> faults_;
  std::unique_ptr<Gemm> gemm_;
  Recent<IntList, std::shared_ptr<Buffer>, Hash> tables_;
  size_t tableBytes_ = 0;
  bool tablesAreHeld_ = false;
  std::shared_ptr<Buffer> counters_, productWorkspace_;
  std::shared_ptr<Faults::Group> group_;  ///< of the next command that needs a word
  Checks checks_;
  std::vector<std::shared_ptr<Buffer>>* keep_ = nullptr;
};

/// Typed scratch memory of the running command. It can be reused as soon as the command's kernels are queued, because
/// later work on the stream runs later.
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
