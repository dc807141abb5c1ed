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

/// What the kernels read. Absent: null.
template <typename T>
struct RowArguments {
  const T *q, *k, *v;
  T *keyCache, *valueCache;
  const int32_t* position;  ///< of this token in the caches, where its key and value are put
  const T *prefixKey, *prefixValue, *bias, *sharedKey, *sharedValue, *contextKey, *contextValue;
  const int32_t *taskIndex, *sharedOffsets, *contextOffsets, *contextIndex;
  KeyParts parts;
  Buckets buckets;
  int64_t width, capacity, prefix, slots, slot, mostFixed;  ///< mostFixed: keys in front of the cache, of any row
  int heads, dim;
  T* o;
  float* logSumExp;  ///< [rows, heads]
  FaultWord* fault;
};

/// Which segments the rows read; empty lists: none, or entry 0 for all.
struct RowLists {
  int64_t rows;
  const IntList &taskIndex, &sharedOffsets, &contextOffsets, &contextIndex;
};

/// Fills in the lists and what depends on them, and runs. Throws NOT_SUPPORTED when the keys of a row exceed the
/// device's shared memory; `call` is for its message.
template <typename T>
void attendRows(const Call& call, RowArguments<T> g, const RowLists& lists);

/// A pass of its own over segments that are long and read by many rows, the instruction of a task for instance: it
/// reads them once for 64 rows instead of once a row. And over long segments when there are so few rows that most of
/// the device would be idle: their parts are blocks of their own.
template <typename T>
class SegmentPass {
 public:
  SegmentPass(const RowArguments<T>& g, const RowLists& lists);
  bool ofShared() const { return ofShared_; }
  bool ofContext() const { return ofContext_; }
  /// The parts live as long as this.
  KeyParts run(const RowArguments<T>& g);

 private:
  bool ofShared_ = false, ofContext_ = false;
  int64_t parts_ = 0;
  IntList items_, order_, rowBegin_;
  std::shared_ptr<Buffer> statistics_, sums_;
};

}  // namespace hint::attention::rows
