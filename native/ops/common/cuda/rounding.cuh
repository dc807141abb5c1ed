#pragma once

#include "native/ops/common/rounding.h"
#include "native/runtime/cuda/eight.cuh"

namespace hint::cuda {

/// Rounds eight consecutive elements from element `first` on, a multiple of eight, with one Philox call.
__device__ inline void roundEight(const Rounding& rounding, Eight& value, int64_t first) {
  if (rounding.kind == Rounding::Kind::none) return;
  const bool stochastic = rounding.kind == Rounding::Kind::stochastic;
  Philox words{};
  if (stochastic) words = rounding.words(first / Rounding::kDraws);
#pragma unroll
  for (int i = 0; i < 8; ++i)
    value.v[i] =
        stochastic ? Rounding::stochastic(value.v[i], Rounding::drawOf(words, i)) : Rounding::nearest(value.v[i]);
}

}  // namespace hint::cuda
