#pragma once

#include "native/ops/attention/cuda/attention.cuh"

namespace hint::attention::tiles {

/// Where the gradient of queries goes: to q's own rows, or, when sequences share queries, to sums [runs, qRows, width]
/// over runs of `run` sequences each.
template <typename T>
struct QueryGradient {
  T* direct;
  float beta;
  float* perRun;
  int run = 1;
};

/// Inputs of both backward kernels.
template <typename T>
struct BackwardInputs {
  const T* q;
  Segments<T> k, v;
  const T *bias, *gradientO;
  const float *logSumExp, *delta;  ///< [oRows, heads]; delta = sum of gradientO * o per head
};

/// Gradient of queries, and the bias gradient of each block as partial sums [queryTiles, heads, buckets] when
/// `biasSums` is given. Either may be absent.
template <typename T, int kDim>
void queryGradients(const Plan& plan, const BackwardInputs<T>& inputs, QueryGradient<T> gradient, float* biasSums,
                    int buckets);

/// Gradients of keys and values of `count` items: of own keys directly, of context keys as partial sums
/// [items, heads, tile, dim]. Either of the two may be absent.
template <typename T, int kDim>
void keyGradients(const Plan& plan, const BackwardInputs<T>& inputs, const IntList& items, T* ownK, float betaK,
                  T* ownV, float betaV, float* partialK, float* partialV);

}  // namespace hint::attention::tiles
