#pragma once

#include "native/core/call.h"

/// The k most probable tokens of every row and their log-probabilities, from which beam search chooses: only 2k numbers
/// of a row leave the device.
namespace hint::top_k {

enum Input { kLogits };
enum Output { kLogProbs, kIds };

/// Raises NUMERIC when a row has NaN, or no finite probabilities (all -infinity, or +infinity).
void forward(Call& call);

}  // namespace hint::top_k
