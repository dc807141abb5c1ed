#pragma once

#include "native/ops/op.h"

/// Causal self-attention of one new token per row while decoding: stores the token's key and value at `position` of the
/// row's caches, then attends to the prefix of the row's task and to cache entries 0..position, these with the
/// relative-position bias. `position` is a tensor, so that a recorded step can be replayed for every token.
namespace hint::decode_attention {

enum Input { kQ, kK, kV, kKeyCache, kValueCache, kPosition, kPrefixKey, kPrefixValue, kBias };
enum Output { kO };

/// Throws INVALID_SHAPE when position is outside the caches. Decoding is not differentiated: no backward.
void forward(Call& call);

}  // namespace hint::decode_attention
