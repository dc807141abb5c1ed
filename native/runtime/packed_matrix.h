#pragma once

#include <cstdint>

#include "native/runtime/activation_kind.h"

namespace hint {

/// A weight matrix in the order in which oneDNN's kernels read it, so that a product with few rows costs one pass over
/// it and none is spent on rearranging. The order depends on the machine; it never leaves the process.

/// What follows the product, in this order; each is optional.
struct Epilogue {
  const float* bias = nullptr;  ///< [n], added to every row
  Activation activation = Activation::none;
  const float* residual = nullptr;  ///< [m, n], added last
};

/// Floats that the packed form of a [k, n] matrix takes.
int64_t packedFloats(int64_t k, int64_t n);

/// Packs the matrix whose product with [m, k] rows is wanted: stored [n, k] when `transposed`, else [k, n].
void packMatrix(int64_t k, int64_t n, bool transposed, const float* weight, float* packed);

/// y[m, n] = residual + activation(x[m, k] W + bias). Uses the calling thread's team. Throws INTERNAL when oneDNN
/// refuses.
void packedProduct(int64_t m, int64_t k, int64_t n, const float* x, const float* packed, const Epilogue& epilogue,
                   float* y);

}  // namespace hint
