#pragma once

#include <cstdint>

/// Whole-tensor reductions in double. They split work as parallelFor does and add the parts in order.
namespace hint {

double sumOf(const float* x, int64_t count);
double sumOfSquaresOf(const float* x, int64_t count);

}  // namespace hint
