#pragma once

#include "native/core/call.h"
#include "native/core/philox.h"

/// One step of decoding for every row, with the state that greedy has: draws the next token, or takes the most likely
/// one at temperature 0, and notes its log-probability. It draws from softmax(logits / temperature), restricted to the
/// topK most probable tokens (0: all), and of these, renormalised, to the fewest whose probabilities reach topP. The
/// random number depends on (seed, stream of the row, position) alone, so that a row's tokens do not depend on the
/// other rows.
namespace hint::sample {

enum Input { kLogits, kStream, kToken, kFinished, kTokens, kLogProbs, kPosition, kStop };

/// Log-probabilities are those of softmax(logits), without temperature, topK and topP. Raises NUMERIC on rows that have
/// NaN or give no probabilities and INVALID_SHAPE when position >= capacity, changing nothing.
void forward(Call& call);

/// A number in [0, 1) of 53 random bits: the same on every back end.
HINT_HOST_DEVICE inline double uniform(uint64_t seed, const int32_t* stream, int64_t position) {
  const uint64_t high = (uint64_t{static_cast<uint32_t>(stream[0])} << 32) | static_cast<uint32_t>(stream[1]);
  const Philox random = Philox::at(seed, static_cast<uint64_t>(position), high);
  const double bits = static_cast<double>(random.word[0] >> 5) * 67108864.0 + static_cast<double>(random.word[1] >> 6);
  return bits / 9007199254740992.0;
}

}  // namespace hint::sample
