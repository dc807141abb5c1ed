#pragma once

#include "native/ops/common/cuda/buckets.cuh"

/// Attention with one query per row, which is what decoding does: to the prefix and the shared segment of the row's
/// task, the row's context and its cache, in this order; only the cache has a relative-position bias.
namespace hint::attention::rows {

using namespace cuda;

/// Attention to segments in parts of 32 keys: maximum and sum [parts, heads], weighted sums of values [parts, heads,
/// dim]. Those of a row begin at rowBegin[row], the shared segment's in front of the context's.
struct KeyParts {
  const int32_t* rowBegin = nullptr;
  const float2* statistics = nullptr;
  const float* sums = nullptr;
  bool ofShared = false, ofContext = false;
  static constexpr int kKeys = 32;
  static constexpr __host__ __device__ int count(int keys) { return (keys + kKeys - 1) / kKeys; }
};

/// Arguments of the kernels; absent tensors are null.
template <typename T>
struct RowArguments {
  const T *q, *k, *v;
  T *keyCache, *valueCache;
  const int32_t* position;  ///< index of this token in the caches, at which its key and value are stored
  const T *prefixKey, *prefixValue, *bias, *sharedKey, *sharedValue, *contextKey, *contextValue;
  const int32_t *taskIndex, *sharedOffsets, *contextOffsets, *contextIndex;
  KeyParts parts;
  Buckets buckets;
  int64_t width, capacity, prefix, slots, slot, mostFixed;  ///< mostFixed: the most keys of a row before its cache
  int heads, dim;
  T* o;
  float* logSumExp;  ///< [rows, heads]
  FaultWord* fault;
};

/// The segments that rows read. An empty list means no segments, or entry 0 for all rows.
struct RowLists {
  int64_t rows;
  const IntList &taskIndex, &sharedOffsets, &contextOffsets, &contextIndex;
};

/// Completes the arguments from the lists, and launches the kernels. Throws NOT_SUPPORTED when the keys of a row exceed
/// the device's shared memory; `call` is for its message.
template <typename T>
void attendRows(const Call& call, RowArguments<T> g, const RowLists& lists);

/// A separate kernel for long segments. When many rows read a segment, such as the instruction of a task, it reads the
/// segment once per 64 rows instead of once per row. When there are so few rows that most of the device would be idle,
/// it gives each part of a segment a block.
template <typename T>
class SegmentPass {
 public:
  SegmentPass(const RowArguments<T>& g, const RowLists& lists);
  bool ofShared() const { return ofShared_; }
  bool ofContext() const { return ofContext_; }
  /// Launches the kernel. The parts are valid as long as this object.
  KeyParts run(const RowArguments<T>& g);

 private:
  bool ofShared_ = false, ofContext_ = false;
  int64_t parts_ = 0;
  IntList items_, order_, rowBegin_;
  std::shared_ptr<Buffer> statistics_, sums_;
};

}  // namespace hint::attention::rows
