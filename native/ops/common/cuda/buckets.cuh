#pragma once

#include "native/ops/common/relative_bucket.h"
#include "native/runtime/cuda/device.cuh"

namespace hint::cuda {

/// Relative-position buckets by distance, for kernels. Distances beyond the last entry have its bucket.
struct Buckets {
  const int32_t* forward = nullptr;   ///< of relative = 0, 1, ..., last
  const int32_t* backward = nullptr;  ///< of relative = 0, -1, ..., -last
  int last = 0;

  Buckets() = default;
  Buckets(int64_t buckets, int64_t maxDistance, bool causal) : last(static_cast<int>(maxDistance)) {
    const RelativeBuckets& table = relativeBuckets(buckets, maxDistance, causal);
    IntList ahead, behind;
    for (int64_t distance = 0; distance <= maxDistance; ++distance) {
      ahead.push_back(table.of(distance));
      behind.push_back(table.of(-distance));
    }
    forward = Context::current().table(ahead);
    backward = Context::current().table(behind);
  }
  /// The bucket of relative = key index - query index.
  __device__ int of(int relative) const {
    return relative >= 0 ? forward[min(relative, last)] : backward[min(-relative, last)];
  }
};

}  // namespace hint::cuda
