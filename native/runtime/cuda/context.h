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

/// A stream of a device, as long as this lives.
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
  void free();
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

  /// Called before each command: forgets the tables that were not read for longest when there are too many.
  void beginCommand();
  /// The integers on the device, until the command ends. Equal lists, such as the offsets
  /// of a batch, are copied once.
  const int32_t* table(const IntList& values);
  /// Between these, no table is forgotten: what commands read in the first round of a program must be there when the
  /// program is captured.
  void holdTables() { tablesAreHeld_ = true; }
  void letTablesGo() { tablesAreHeld_ = false; }

  /// Memory for the kernels of the command in hand; what is captured into a graph keeps it as long as the graph.
  std::shared_ptr<Buffer> scratch(size_t bytes);

  /// Words that are zero, for kernels that count in them and leave them zero.
  uint32_t* counters(int64_t count);

  /// Memory in which matrix products keep partial sums: one for the stream, because its products run one after the
  /// other, in a graph too.
  void* productWorkspace(size_t bytes);

  /// A word in which the command's kernels report values they cannot accept.
  FaultWord* faultWord(FaultText text);
  /// Whether the host wrote these integers and all are in [0, count): then kernels have nothing to report about them.
  /// Not while commands are captured, because when they run again the integers may be others.
  bool areBelow(const Tensor& integers, int64_t count) const;
  /// The words taken since the last call.
  Checks takeChecks() { return std::exchange(checks_, {}); }
  /// Publishes the words of commands that were queued since the last call: whoever waits behind this sees them.
  void publishFaults();
  Faults& faults() { return *faults_; }
  const std::shared_ptr<Faults>& sharedFaults() { return faults_; }

  /// Between these, commands are captured instead of run, and tables and scratch memory stay alive in `keep`.
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
