#pragma once

#include "native/core/call.h"

/// Beams change places between two steps: row i of a cache becomes what row parents[i] was, in place. Only the first
/// `position` entries hold anything, and only rows that move are copied.
namespace hint::reorder_cache {

enum Input { kCache, kParents, kPosition };

/// Raises INVALID_ARGUMENT for a parent outside the row's group and INVALID_SHAPE for a position outside the cache,
/// changing nothing.
void forward(Call& call);

}  // namespace hint::reorder_cache
