#pragma once

#include "native/core/call.h"

/// One step of greedy decoding for every row: the most likely token (the first on ties), or 0 once the row is finished,
/// goes to `token` and to column `position` of `tokens`; then `position` advances and `stop` tells whether every row is
/// finished or the columns are full. All state stays on the device, so that steps can be replayed.
namespace hint::greedy {

enum Input { kLogits, kToken, kFinished, kTokens, kPosition, kStop };

/// Raises NUMERIC on NaN logits of an unfinished row and INVALID_SHAPE when position >= capacity, changing nothing.
void forward(Call& call);

}  // namespace hint::greedy
