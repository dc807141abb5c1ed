#pragma once

#include <cstdint>

namespace hint {

/// The sum of term(i) for i in [0, count). It keeps kLanes partial sums, a power of two. Compilers must not reassociate
/// floats; with these lanes the loop becomes full-width vectors, and the order of additions is the same in every run.
/// For functions marked HINT_CLONES.
template <int kLanes, typename Real, typename Term>
[[gnu::always_inline]] inline Real sumInLanes(int64_t count, const Term& term) {
  Real lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  for (int lane = 0; i < count; ++i, ++lane) lanes[lane] += term(i);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
}

}  // namespace hint
