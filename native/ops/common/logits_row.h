#pragma once

#include <cstdint>
#include <vector>

/// Functions of one row of logits, for the ops that choose tokens. All run on the calling thread, so that a row's
/// result does not depend on how many rows or threads there are. Ties go to the lowest id.
namespace hint {

/// The largest logit; `nan` is set when there is a NaN. count >= 1.
float largestLogit(const float* logits, int64_t count, bool* nan);

/// Index of the first logit equal to `value`, which must occur.
int64_t firstEqual(const float* logits, float value, int64_t count);

/// sum of exp(factor * (logit - maximum)), factor > 0.
double sumOfExponentials(const float* logits, int64_t count, float maximum, float factor = 1.0f);

/// The ids of the k largest logits, 1 <= k <= count, largest first.
std::vector<int32_t> largestLogits(const float* logits, int64_t count, int64_t k);

}  // namespace hint
