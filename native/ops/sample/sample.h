#pragma once

#include "native/ops/op.h"

/// One step of decoding for every row, with the state that greedy has: draws the next token, or takes the most likely
/// one at temperature 0, and notes its log-probability. What may be drawn: of softmax(logits / temperature) the topK
/// most probable tokens (0: all), and of these, renormalised, the fewest whose probabilities reach topP. The number
/// drawn is a function of (seed, stream of the row, position) alone, so that a row's tokens do not depend on its
/// company.
namespace hint::sample {

enum Input { kLogits, kStream, kToken, kFinished, kTokens, kLogProbs, kPosition, kStop };

/// Log-probabilities are those of softmax(logits): of the model, whatever narrowed the choice. Raises NUMERIC on rows
/// that have NaN or give no probabilities and INVALID_SHAPE when position >= capacity, changing nothing.
void forward(Call& call);

/// A number in [0, 1) of 53 random bits: the same on every back end.
double uniform(uint64_t seed, const int32_t* stream, int64_t position);

}  // namespace hint::sample
