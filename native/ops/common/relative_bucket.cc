#include "native/ops/common/relative_bucket.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <tuple>

#include "native/core/error.h"

namespace hint {

RelativeBuckets::RelativeBuckets(int64_t buckets, int64_t maxDistance, bool causal) : causal_(causal) {
  if (maxDistance > kMostDistance)
    fail("INVALID_ARGUMENT", "Relative positions are told apart up to a maxDistance of at most ", kMostDistance,
         ", not ", maxDistance, ".");
  const int64_t magnitudes = causal ? buckets : buckets / 2;
  const int64_t exact = magnitudes / 2;
  if (exact < 1 || maxDistance <= exact)
    fail("INVALID_ARGUMENT", "Relative positions need at least ", causal ? 2 : 4,
         " buckets and a maxDistance above the ", exact, " distances with a bucket each; there are ", buckets,
         " buckets and maxDistance is ", maxDistance, ".");
  ahead_ = causal ? 0 : static_cast<int32_t>(magnitudes);
  magnitudes_.resize(static_cast<size_t>(maxDistance) + 1);
  // Single precision throughout, because the published models round the borders of buckets so.
  const float scale = std::log(static_cast<float>(maxDistance) / static_cast<float>(exact));
  for (int64_t distance = 0; distance <= maxDistance; ++distance) {
    int64_t bucket = distance;
    if (distance >= exact) {
      const float position = std::log(static_cast<float>(distance) / static_cast<float>(exact)) / scale;
      bucket =
          std::min(magnitudes - 1, exact + static_cast<int64_t>(position * static_cast<float>(magnitudes - exact)));
    }
    magnitudes_[static_cast<size_t>(distance)] = static_cast<int32_t>(bucket);
  }
}

const RelativeBuckets& relativeBuckets(int64_t buckets, int64_t maxDistance, bool causal) {
  // The mutex is never destroyed, because compute threads may still use it while the process ends.
  static auto& mutex = *new std::mutex;
  static auto& known = *new std::map<std::tuple<int64_t, int64_t, bool>, RelativeBuckets>;
  const std::lock_guard lock(mutex);
  const std::tuple key(buckets, maxDistance, causal);
  const auto found = known.find(key);
  return found != known.end() ? found->second
                              : known.emplace(key, RelativeBuckets(buckets, maxDistance, causal)).first->second;
}

}  // namespace hint
