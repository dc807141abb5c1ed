#pragma once

#include "native/core/call.h"

/// Multi-head attention over ragged sequences, o = dropout(softmax(q kᵀ + bias)) v, without T5's missing 1/sqrt(d).
///
/// The keys of sequence b are, in this order, the prefix of its task taskIndex[b], the shared segment of that task, and
/// its own rows kOffsets[b]..kOffsets[b+1]. The relative-position bias and the causal mask concern own keys only, with
/// relative = key index - query index inside the sequence; prefix and shared keys are always visible. Dropout draws one
/// mask per (sequence, head) over keys, shared by all queries: group = sequence * numHeads + head, unit = key index.
/// With sharedQueries every sequence uses all rows of q, and o holds the results sequence after sequence.
namespace hint::attention {

enum Input { kQ, kK, kV, kPrefixKey, kPrefixValue, kSharedKey, kSharedValue, kBias };
enum Output { kO, kLogSumExp };

/// Tiles over (task, head, query block): scores of a few dozen queries exist at a time.
void forward(Call& call);
/// Recomputes probabilities tile by tile from q, k and logSumExp. Gradients that many sequences share (prefix, shared
/// segment, bias) are summed inside a unit of work and then over units in a fixed order.
void backward(Call& call);

}  // namespace hint::attention
