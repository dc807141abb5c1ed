#pragma once

#include <utility>

#include "native/runtime/cuda/activation.cuh"
#include "native/runtime/cuda/eight.cuh"

/// Kernels that compute every element of their results from one element of each input. A thread computes two pieces of
/// eight consecutive elements. It loads all inputs before it stores anything, because the compiler cannot move a load
/// before a store to an address that may be the same; a result may therefore overwrite an input. When a size or an
/// address is no multiple of eight elements, a thread computes one element at a time.
namespace hint::cuda {

/// Up to kCount tensors of one storage type that a kernel writes: to = beta * to + value; a null tensor is not written.
template <int kCount, typename Y>
struct Results {
  Y* to[kCount];
  float beta[kCount];

  bool areAligned() const {
    for (const Y* address : to)
      if (!isAligned(address)) return false;
    return true;
  }
};
template <typename Y>
Results<1, Y> result(Y* to, float beta = 0.0f) {
  return {{to}, {beta}};
}

/// Factors of dropout for units unit..unit+7 of a group, `unit` a multiple of four: two draws.
__device__ inline Eight keptEight(const Mask& mask, uint32_t group, uint32_t unit) {
  Eight kept;
  mask.quad(group, unit, kept.v);
  mask.quad(group, unit + 4, kept.v + 4);
  return kept;
}

namespace detail {

constexpr int kElementThreads = 256, kPieces = 2;

template <int kInputs>
struct Piece {
  Eight from[kInputs];
};

template <int kCount, typename Y, typename Body, typename... In>
__device__ inline void computeOne(int64_t at, int64_t unit, float kept, const Results<kCount, Y>& results,
                                  const Body& body, const In*... in) {
  float value[kCount];
  body(value, unit, kept, load(in + at)...);
#pragma unroll
  for (int k = 0; k < kCount; ++k)
    if (results.to[k]) store(results.to[k] + at, results.beta[k], value[k]);
}

template <size_t... kIndex, typename Body, int kInputs>
__device__ inline void applyBody(std::index_sequence<kIndex...>, const Body& body, float* value, int64_t unit,
                                 float kept, const Piece<kInputs>& piece, int i) {
  body(value, unit, kept, piece.from[kIndex].v[i]...);
}

/// Computes kPieces pieces of eight that are `apart` elements from each other, except those that begin at or after
/// `end`. `unitOf(at)` gives the body's argument for an element, `keptOf(at)` the dropout factors of eight.
template <int kCount, typename Y, typename UnitOf, typename KeptOf, typename Body, typename... In>
__device__ inline void computePieces(int64_t first, int64_t apart, int64_t end, const UnitOf& unitOf,
                                     const KeptOf& keptOf, const Results<kCount, Y>& results, const Body& body,
                                     const In*... in) {
  constexpr int kInputs = sizeof...(In);
  Piece<kInputs> piece[kPieces];
  Piece<kCount> before[kPieces];
#pragma unroll
  for (int j = 0; j < kPieces; ++j) {
    const int64_t at = first + j * apart;
    if (at >= end) break;
    piece[j] = Piece<kInputs>{{loadEight(in + at)...}};
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      if (results.to[k] && results.beta[k] != 0.0f) before[j].from[k] = loadEight(results.to[k] + at);
  }
#pragma unroll
  for (int j = 0; j < kPieces; ++j) {
    const int64_t at = first + j * apart;
    if (at >= end) break;
    const Eight kept = keptOf(at);
    Piece<kCount> value;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float one[kCount];
      applyBody(std::index_sequence_for<In...>(), body, one, unitOf(at) + i, kept.v[i], piece[j], i);
#pragma unroll
      for (int k = 0; k < kCount; ++k) value.from[k].v[i] = one[k];
    }
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      if (!results.to[k]) continue;
      if (results.beta[k] != 0.0f)
#pragma unroll
        for (int i = 0; i < 8; ++i) value.from[k].v[i] += results.beta[k] * before[j].from[k].v[i];
      putEight(results.to[k] + at, value.from[k]);
    }
  }
}

template <int kCount, typename Y, typename Body, typename... In>
__global__ void __launch_bounds__(kElementThreads)
    elementsKernel(int64_t count, int64_t eights, Results<kCount, Y> results, Body body, const In*... in) {
  const int64_t step = int64_t{gridDim.x} * kElementThreads,
                thread = int64_t{blockIdx.x} * kElementThreads + threadIdx.x;
  const auto none = [](int64_t) { return Eight{{1, 1, 1, 1, 1, 1, 1, 1}}; };
  for (int64_t piece = thread; piece < eights; piece += kPieces * step)
    computePieces(
        8 * piece, 8 * step, 8 * eights, [](int64_t at) { return at; }, none, results, body, in...);
  for (int64_t i = 8 * eights + thread; i < count; i += step) computeOne(i, i, 1.0f, results, body, in...);
}

/// Blocks of one row share blockIdx.x, so that no index is divided by the row's length and the sequence is found once.
template <int kCount, typename Y, typename Body, typename... In>
__global__ void __launch_bounds__(kElementThreads) rowsKernel(int64_t rows, int64_t d, bool byEight, RowMask mask,
                                                              Results<kCount, Y> results, Body body, const In*... in) {
  const int64_t step = int64_t{gridDim.x} * blockDim.y;
  for (int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y; row < rows; row += step) {
    const int64_t start = row * d;
    const bool drops = mask.mask.active;
    const uint32_t group = drops ? mask.group(row) : 0;
    const auto unitOf = [=](int64_t at) { return at - start; };
    const auto keptOf = [=](int64_t at) {
      return drops ? keptEight(mask.mask, group, static_cast<uint32_t>(at - start)) : Eight{{1, 1, 1, 1, 1, 1, 1, 1}};
    };
    if (byEight)
      for (int64_t unit = 8 * int64_t{threadIdx.x}; unit < d; unit += 8 * kPieces * int64_t{blockDim.x})
        computePieces(start + unit, 8 * int64_t{blockDim.x}, start + d, unitOf, keptOf, results, body, in...);
    else
      for (int64_t unit = threadIdx.x; unit < d; unit += blockDim.x)
        computeOne(start + unit, unit, drops ? mask.mask.scale(group, static_cast<uint32_t>(unit)) : 1.0f, results,
                   body, in...);
  }
}

}  // namespace detail

/// Runs body(value, i, 1, inputs of element i...) for every i in [0, count); it sets value[k] for result k.
template <int kCount, typename Y, typename Body, typename... In>
void eachElement(int64_t count, const Results<kCount, Y>& results, Body body, const In*... in) {
  if (count == 0) return;
  const bool byEight = results.areAligned() && (isAligned(in) && ...);
  const int64_t eights = byEight ? count / 8 : 0;
  const int64_t threads = byEight ? (eights + detail::kPieces - 1) / detail::kPieces : count;
  detail::elementsKernel<<<gridOf(threads, detail::kElementThreads), detail::kElementThreads, 0,
                           Context::current().stream()>>>(count, eights, results, body, in...);
  launched();
}

/// The same for the elements of rows: body(value, unit, dropout factor, inputs...).
template <int kCount, typename Y, typename Body, typename... In>
void eachOfRows(int64_t rows, int64_t d, const RowMask& mask, const Results<kCount, Y>& results, Body body,
                const In*... in) {
  if (rows == 0 || d == 0) return;
  const bool byEight = d % 8 == 0 && results.areAligned() && (isAligned(in) && ...);
  const int64_t wanted = byEight ? (d / 8 + detail::kPieces - 1) / detail::kPieces : d;
  unsigned across = 1;
  while (across < detail::kElementThreads && across < wanted) across *= 2;
  detail::rowsKernel<<<gridOf(rows * across, detail::kElementThreads), dim3(across, detail::kElementThreads / across),
                       0, Context::current().stream()>>>(rows, d, byEight, mask, results, body, in...);
  launched();
}

/// to = beta * to + from.
template <typename From, typename To>
void storeElements(int64_t count, const From* from, To* to, float beta = 0.0f) {
  eachElement(
      count, result(to, beta), [] __device__(float* value, int64_t, float, float x) { value[0] = x; }, from);
}

/// gradient = gy times the slope of the activation at x: the gradient of a product, in the dtype of `gradient`. x is
/// null when there is no activation.
template <typename Y, typename G>
void multiplyBySlope(Activation activation, const Y* x, const Y* gy, G* gradient, int64_t count) {
  if (!x) return storeElements(count, gy, gradient);
  eachElement(
      count, result(gradient),
      [=] __device__(float* value, int64_t, float, float gy, float x) {
        value[0] = gy * activationSlope(activation, x);
      },
      gy, x);
}

}  // namespace hint::cuda
