#pragma once

#include "native/core/philox.h"
#include "native/ops/attention/cpu/workspace.h"
#include "native/ops/attention/geometry.h"

namespace hint::attention {

/// What the units of a forward call read where its tensors are bf16.
struct HalvesCall {
  const Geometry& geometry;
  const RelativeBias& bias;
  const Dropout& dropout;
  const uint16_t* q;
  const uint16_t* k[kMaxSegments];
  const uint16_t* v[kMaxSegments];
  uint16_t* o;
  float* logSumExp;  ///< may be null
};

/// Attends the queries of a bundle for heads [firstHead, endHead). Scores and sums are f32; probabilities are rounded
/// to bf16 before they meet values. Needs hasDotProducts(bf16).
void attendHalves(const HalvesCall& call, const Bundle& bundle, int64_t firstHead, int64_t endHead);

}  // namespace hint::attention
