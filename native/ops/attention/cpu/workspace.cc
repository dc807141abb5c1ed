#include "native/ops/attention/cpu/workspace.h"

#include "native/math/float_rows.h"
#include "native/ops/attention/attention.h"
#include "native/ops/common/relative_bucket.h"

namespace hint::attention {

RelativeBias::RelativeBias(const Call& call, const Geometry& geometry) {
  if (!call.has(kBias)) return;
  origin_ = std::max<int64_t>(geometry.maxQueries, 1) - 1;
  stride_ = origin_ + std::max<int64_t>(geometry.maxKeys, 1);
  const RelativeBuckets& buckets = relativeBuckets(call.dim("buckets"), call.integer("maxDistance"), geometry.causal);
  buckets_.resize(static_cast<size_t>(stride_));
  values_.resize(static_cast<size_t>(geometry.heads * stride_));
  std::vector<float> room(static_cast<size_t>(call.in(kBias).size()));
  const float* bias = FloatReader(call.in(kBias)).read(0, call.in(kBias).size(), room.data());
  for (int64_t index = 0; index < stride_; ++index) {
    const int32_t bucket = buckets.of(index - origin_);
    buckets_[static_cast<size_t>(index)] = bucket;
    for (int64_t head = 0; head < geometry.heads; ++head)
      values_[static_cast<size_t>(head * stride_ + index)] = bias[bucket * geometry.heads + head];
  }
}

void fillMask(const Dropout& dropout, uint32_t group, const SegmentRows& segments, float* dense, float* mask) {
  dropout.fill(group, segments.index[kOwn] + segments.keys[kOwn], dense);
  for (int i = 0; i < kMaxSegments; ++i) {
    const float *from = dense + segments.index[i], *to = from + segments.keys[i];
    float* target = mask + segments.column[i];
    std::fill(std::copy(from, to, target), target + padded(segments.keys[i]), 0.0f);
  }
}

}  // namespace hint::attention
