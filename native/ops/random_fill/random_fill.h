#pragma once

#include "native/core/call.h"

/// destination = seeded random numbers, in place. Element i is a function of (seed, stream, i) alone: the word
/// `i % 4` of Philox at counter (i / 4, stream), taken to (-1, 1) and through the inverse of the distribution's
/// cumulative function. There is no rejection, so every back end draws the same numbers in any order.
namespace hint::random_fill {

enum Input { kDestination };

enum class Distribution { uniform, normal, truncatedNormal };

/// The attribute `distribution`. Throws INVALID_ARGUMENT for a word that is none.
Distribution distributionOf(const Call& call);
/// The attribute `seed`. Throws INVALID_ARGUMENT when it is no integer from 0 to 2^53 - 1.
uint64_t seedOf(const Call& call);

void forward(Call& call);

}  // namespace hint::random_fill
