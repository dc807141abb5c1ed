#pragma once

#include "native/core/call.h"
#include "native/math/rounding.h"

/// Rounding of parameters that an optimiser keeps in bf16, with the same results on every back end.
namespace hint {

/// Rounds `count` values that are the elements from `first` on, on the calling thread.
void roundValues(const Rounding& rounding, float* values, int64_t first, int64_t count);

/// The attributes of ops that round: `rounding`, none, nearest or stochastic, and what the draws are a function of
/// beside the element: `roundingSeed`, `roundingStep` and `roundingStream`, which names the parameter.
std::vector<AttributeSpec> withRounding(std::vector<AttributeSpec> attributes);
/// Reads these attributes. Throws INVALID_ARGUMENT for another word, a seed that is no integer in [0, 2^53), or a step
/// or stream that is not in [0, 2^32).
Rounding roundingOf(const Call& call);

/// For references: rounds what the call rounds.
void roundReference(const Call& call, std::vector<double>& values);

}  // namespace hint
