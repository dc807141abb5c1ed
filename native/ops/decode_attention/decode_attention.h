#pragma once

#include "native/core/call.h"

/// Causal self-attention of one new token per row while decoding: stores the token's key and value at `position` of the
/// row's caches, then attends to, in this order, the prefix of the row's task, the shared segment of that task, the
/// row's context contextOffsets[c]..contextOffsets[c+1] with c = contextIndex[row], and cache entries 0..position; only
/// the cache has a relative-position bias. Shared and context rows are keys from before decoding, of a decoder-only
/// model's instruction and input. `position` is a tensor, so that a recorded step can be replayed for every token.
namespace hint::decode_attention {

enum Input {
  kQ,
  kK,
  kV,
  kKeyCache,
  kValueCache,
  kPosition,
  kPrefixKey,
  kPrefixValue,
  kBias,
  kSharedKey,
  kSharedValue,
  kContextKey,
  kContextValue
};
enum Output { kO };

struct RowRange {
  int64_t begin, count;
};
/// Rows of a ragged segment that `row` reads: entry `index`[row] of `offsets`.
RowRange rowsOf(const Call& call, const char* offsets, const char* index, int64_t row);
/// Number of keys that `row` sees before its cache.
int64_t fixedKeys(const Call& call, int64_t row);

/// Throws INVALID_SHAPE when position is outside the caches. Decoding is not differentiated: no backward.
void forward(Call& call);

}  // namespace hint::decode_attention
