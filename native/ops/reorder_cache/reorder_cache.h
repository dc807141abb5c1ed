#pragma once

#include "native/core/call.h"

/// Reorders beams between two steps, in place: row i of a cache gets the old values of row parents[i]. Only the first
/// `position` entries are filled, and only rows that move are copied.
namespace hint::reorder_cache {

enum Input { kCache, kParents, kPosition };

/// Raises INVALID_ARGUMENT for a parent outside the row's group and INVALID_SHAPE for a position outside the cache,
/// changing nothing.
void forward(Call& call);

}  // namespace hint::reorder_cache
