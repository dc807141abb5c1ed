#pragma once

#include <cstdint>

/// What the CPU stores as bf16 is rounded here: to the nearest, or by chance. Computing by chance several times tells
/// how far rounding alone moves a result, which is what a computation in bf16 is held to (`hint verify --dtype bf16`).
namespace hint {

/// From now on, on the calling thread (a stream's): up or down with the probability that makes the expectation the
/// value itself, drawn from `seed` and anew for each store; or, with 0, to the nearest.
void simulateRounding(uint64_t seed);

/// Whether the calling thread rounds by chance.
bool isRoundingSimulated();

/// Rounds on all threads. Call on the stream's thread.
void storeAsBf16(const float* x, uint16_t* y, int64_t count);

}  // namespace hint
