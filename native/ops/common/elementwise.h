#pragma once

#include <cstdint>

/// Vectorised loops over contiguous floats that several ops are made of. All run on the calling thread; beta == 0
/// never reads the destination.
namespace hint {

/// destination = beta * destination + factor * value.
void store(float* destination, float beta, float factor, const float* value, int64_t count);
/// destination = beta * destination + a * b, elementwise.
void storeProduct(float* destination, float beta, const float* a, const float* b, int64_t count);
/// destination = beta * destination + value.
void storeConstant(float* destination, float beta, float value, int64_t count);
/// y = a + b.
void addTo(float* y, const float* a, const float* b, int64_t count);
/// y = a + mask * b.
void addMasked(float* y, const float* a, const float* b, const float* mask, int64_t count);
/// Zeroes, on several threads.
void zero(float* destination, int64_t count);

}  // namespace hint
