#pragma once

#include "native/runtime/cuda/activation.cuh"
#include "native/runtime/cuda/eight.cuh"
#include "native/runtime/cuda/gemm.h"

/// What the kernels of grouped products share: the part of the matrices that belongs to a group, and the epilogue.
namespace hint::cuda {

struct GroupedArguments {
  int64_t m, n, k;
  const int32_t* offsets;
  bool raggedRows;
  int64_t aStride, bStride, bStep, cStep, cStride;  ///< strides of rows as stored

  explicit GroupedArguments(const GroupedGemm& p)
      : m(p.m),
        n(p.n),
        k(p.k),
        offsets(p.rowOffsets),
        raggedRows(p.ragged == GroupedGemm::Ragged::rows),
        aStride(p.a.stride),
        bStride(p.b.stride),
        bStep(p.bStep),
        cStep(p.cStep),
        cStride(p.cStride) {}

  /// First row and column of the block's tile. All tiles are along the grid's x, the only dimension without a small
  /// limit, tiles of one row after each other; the groups are along z.
  struct Place {
    int64_t row, column;
  };
  template <int kRows, int kColumns>
  __device__ Place place() const {
    const auto across = static_cast<unsigned>((n + kColumns - 1) / kColumns);
    return {int64_t{blockIdx.x / across} * kRows, int64_t{blockIdx.x % across} * kColumns};
  }
  template <int kRows, int kColumns>
  static dim3 grid(const GroupedGemm& p) {
    return {static_cast<unsigned>((p.m + kRows - 1) / kRows * ((p.n + kColumns - 1) / kColumns)), 1,
            static_cast<unsigned>(p.groups)};
  }

  /// Sizes of a group's product and the first elements of its matrices.
  struct Part {
    int64_t m, k, a, b, c;
  };
  __device__ Part part(int64_t group) const {
    const int64_t first = offsets ? offsets[group] : 0;
    const int64_t count = offsets ? offsets[group + 1] - first : (raggedRows ? m : k);
    if (raggedRows) return {count, k, first * aStride, group * bStep, first * cStride};
    return {m, count, first * aStride, group * bStep + first * bStride, group * cStep};
  }
};

/// The epilogue: c = beta * c + residual + activation(alpha * sum + bias). `at` is the index in c and in the tensors of
/// the same layout, `inBias` the index in the bias.
template <typename T, typename C>
struct GroupedOutput {
  C* c;
  const T* bias;
  const void* residual;
  C* preActivation;
  float alpha, beta;
  bool residualIsWide;
  Activation activation;
  int64_t biasStep;

  explicit GroupedOutput(const GroupedGemm& p)
      : c(static_cast<C*>(p.c)),
        bias(static_cast<const T*>(p.bias)),
        residual(p.residual),
        preActivation(static_cast<C*>(p.preActivation)),
        alpha(p.alpha),
        beta(p.beta),
        residualIsWide(p.residualType == DType::f32),
        activation(p.activation),
        biasStep(p.biasStep) {}

  __device__ void one(int64_t at, int64_t inBias, float sum) const {
    float value = alpha * sum;
    if (bias) value += load(bias + inBias);
    if (preActivation) put(preActivation + at, value);
    value = activate(activation, value);
    if (residual)
      value += residualIsWide ? static_cast<const float*>(residual)[at] : load(static_cast<const bf16*>(residual) + at);
    store(c + at, beta, value);
  }

  /// The same for eight consecutive elements.
  __device__ void eight(int64_t at, int64_t inBias, Eight value) const {
#pragma unroll
    for (int i = 0; i < 8; ++i) value.v[i] *= alpha;
    if (bias) add(value, loadEight(bias + inBias), 1.0f);
    if (preActivation) putEight(preActivation + at, value);
    if (activation != Activation::none)
#pragma unroll
      for (int i = 0; i < 8; ++i) value.v[i] = activate(activation, value.v[i]);
    if (residual)
      add(value,
          residualIsWide ? loadEight(static_cast<const float*>(residual) + at)
                         : loadEight(static_cast<const bf16*>(residual) + at),
          1.0f);
    if (beta != 0.0f) add(value, loadEight(c + at), beta);
    putEight(c + at, value);
  }

 private:
  __device__ static void add(Eight& to, const Eight& more, float factor) {
#pragma unroll
    for (int i = 0; i < 8; ++i) to.v[i] += factor * more.v[i];
  }
};

/// Runs the product on tensor cores when its type, sizes, strides and addresses allow; otherwise does nothing and
/// returns false.
bool groupedMma(const GroupedGemm& problem);

}  // namespace hint::cuda
