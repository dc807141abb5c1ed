#pragma once

#include "native/ops/common/cuda/columns.cuh"
#include "native/ops/common/norm_work.h"
#include "native/runtime/cuda/elements.cuh"

/// rms_norm and layer_norm, which is the centred one: y = weight * (s - mean) * rstd + bias, without mean and bias for
/// rms_norm. Both may begin with a residual addition: s = x + dropout(delta), kept in f32. Their inputs begin with x,
/// delta, weight and bias, their outputs with y and sum. X, D and Y are the storage types of x, delta and y.
///
/// A block has one row at a time, and a thread eight consecutive units of it, which stay in its registers, so that
/// inputs are read once. Rows with more than eight units for each of kMostNormThreads threads have a rest that is read
/// again.
namespace hint::cuda {

/// Up to eight consecutive units of a row.
struct NormPiece {
  int64_t at;  ///< index in the tensor
  int64_t unit;
  int count;
};

/// Calls visit(piece, isFirst) for this thread's pieces of a row.
template <typename Visit>
__device__ inline void eachPiece(int64_t row, int64_t d, const Visit& visit) {
  const int64_t first = 8 * int64_t{threadIdx.x};
  if (first < d) visit(NormPiece{row * d + first, first, static_cast<int>(min(d - first, int64_t{8}))}, true);
  for (int64_t unit = first + 8 * int64_t{blockDim.x}; unit < d; unit += 8 * int64_t{blockDim.x})
    visit(NormPiece{row * d + unit, unit, static_cast<int>(min(d - unit, int64_t{8}))}, false);
}

/// The values of a piece, with zeros beyond its end. With kByEight, pieces are full and addresses aligned.
template <bool kByEight, typename T>
__device__ inline Eight loadPiece(const T* from, int count) {
  if constexpr (kByEight) {
    return loadEight(from);
  } else {
    Eight value{};
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if (i < count) value.v[i] = load(from + i);
    return value;
  }
}
/// to = beta * to + value; with beta 0, `to` is not read.
template <bool kByEight, typename T>
__device__ inline void storePiece(T* to, int count, float beta, Eight value) {
  if constexpr (kByEight) {
    if (beta != 0.0f) {
      const Eight before = loadEight(to);
#pragma unroll
      for (int i = 0; i < 8; ++i) value.v[i] += beta * before.v[i];
    }
    putEight(to, value);
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if (i < count) store(to + i, beta, value.v[i]);
  }
}

/// Whether all of these addresses allow loads and stores of eight elements.
template <typename... Pointers>
bool normByEight(int64_t d, const Pointers*... pointers) {
  return d % 8 == 0 && (isAligned(pointers) && ...);
}

/// Arguments of a forward pass; bias and means null for rms_norm.
template <typename X, typename D, typename Y>
struct NormForward {
  int64_t d;
  float epsilon;
  const X* x;
  const D* delta;  ///< null: s = x
  RowMask mask;
  const float *weight, *bias;
  float* sum;
  Y* y;
  float *means, *rstd;

  NormForward(const Call& call, const float* bias, float* means, float* rstd)
      : d(call.dim("d")),
        epsilon(static_cast<float>(call.number("epsilon"))),
        x(input<X>(call, 0)),
        delta(input<D>(call, 1)),
        mask(delta ? RowMask(call) : RowMask()),
        weight(input<float>(call, 2)),
        bias(bias),
        sum(output<float>(call, 1)),
        y(output<Y>(call, 0)),
        means(means),
        rstd(rstd) {}
  bool byEight() const { return normByEight(d, x, delta, weight, bias, sum, y); }
};

/// One row per block.
template <bool kCentred, bool kByEight, typename X, typename D, typename Y>
__global__ void __launch_bounds__(kMostNormThreads) normForward(NormForward<X, D, Y> of) {
  const int64_t row = blockIdx.x;
  const bool drops = of.mask.mask.active;
  Eight held{};
  float total = 0;
  eachPiece(row, of.d, [&](const NormPiece& piece, bool isFirst) {
    Eight s = loadPiece<kByEight>(of.x + piece.at, piece.count);
    if (of.delta) {
      const Eight delta = loadPiece<kByEight>(of.delta + piece.at, piece.count);
      Eight kept{{1, 1, 1, 1, 1, 1, 1, 1}};
      if (drops) kept = keptEight(of.mask.mask, of.mask.group(row), static_cast<uint32_t>(piece.unit));
#pragma unroll
      for (int i = 0; i < 8; ++i) s.v[i] += i < piece.count ? kept.v[i] * delta.v[i] : 0.0f;
      storePiece<kByEight>(of.sum + piece.at, piece.count, 0.0f, s);
    }
    if (isFirst) held = s;
#pragma unroll
    for (int i = 0; i < 8; ++i) total += kCentred ? s.v[i] : s.v[i] * s.v[i];
  });
  // Values that are read again were written by the same thread, so no barrier is needed.
  const auto valuesOf = [&](const NormPiece& piece, bool isFirst) {
    if (isFirst) return held;
    return of.delta ? loadPiece<kByEight>(of.sum + piece.at, piece.count)
                    : loadPiece<kByEight>(of.x + piece.at, piece.count);
  };
  const auto units = static_cast<float>(of.d);
  float mean = 0, squares = blockSum(total);
  if (kCentred) {
    mean = squares / units;
    // The variance is summed from differences to the mean: the difference of two large sums would lose it for a row far
    // from 0.
    float differences = 0;
    eachPiece(row, of.d, [&](const NormPiece& piece, bool isFirst) {
      const Eight s = valuesOf(piece, isFirst);
#pragma unroll
      for (int i = 0; i < 8; ++i)
        if (i < piece.count) differences += (s.v[i] - mean) * (s.v[i] - mean);
    });
    squares = blockSum(differences);
  }
  const float r = 1.0f / sqrtf(squares / units + of.epsilon);
  if (threadIdx.x == 0) {
    of.rstd[row] = r;
    if (kCentred) of.means[row] = mean;
  }
  eachPiece(row, of.d, [&](const NormPiece& piece, bool isFirst) {
    const Eight s = valuesOf(piece, isFirst), weight = loadPiece<kByEight>(of.weight + piece.unit, piece.count);
    Eight y{};
    if (kCentred) y = loadPiece<kByEight>(of.bias + piece.unit, piece.count);
#pragma unroll
    for (int i = 0; i < 8; ++i) y.v[i] += weight.v[i] * ((s.v[i] - mean) * r);
    storePiece<kByEight>(of.y + piece.at, piece.count, 0.0f, y);
  });
}

/// Arguments of a backward pass. The gradient of s comes through y and through sum; an absent gradient is null.
template <typename X, typename D, typename Y>
struct NormBackward {
  int64_t rows, d, rowsPerPart;
  const X* x;
  const float* sum;  ///< null without delta: s = x
  const float *weight, *means, *rstd;
  const Y* gy;
  const float* gsum;
  X* gx;
  D* gdelta;
  float betaX, betaDelta;
  RowMask mask;
  /// [parts, d]: sums over the rows of a part for the gradients of weight and bias; null when they are not wanted.
  float *weightParts = nullptr, *biasParts = nullptr;

  NormBackward(const Call& call, const float* means, const float* rstd)
      : rows(call.dim("rows")),
        d(call.dim("d")),
        rowsPerPart(normRowsPerPart(rows, d)),
        x(input<X>(call, 0)),
        sum(call.has(1) ? output<float>(call, 1) : nullptr),
        weight(input<float>(call, 2)),
        means(means),
        rstd(rstd),
        gy(outputGradient<Y>(call, 0)),
        gsum(call.has(1) ? outputGradient<float>(call, 1) : nullptr),
        gx(dataOf<X>(inputGradient(call, 0))),
        gdelta(dataOf<D>(inputGradient(call, 1))),
        betaX(call.beta(0)),
        betaDelta(call.beta(1)),
        mask(gdelta ? RowMask(call) : RowMask()) {}
  int64_t parts() const { return (rows + rowsPerPart - 1) / rowsPerPart; }
  bool byEight() const { return normByEight(d, x, sum, weight, gy, gsum, gx, gdelta, weightParts, biasParts); }
};

/// One part per block. The sums of a thread's first piece stay in registers until the part ends, those of other pieces
/// are in memory.
template <bool kCentred, bool kByEight, typename X, typename D, typename Y>
__global__ void __launch_bounds__(kMostNormThreads) normBackward(NormBackward<X, D, Y> of) {
  const int64_t part = blockIdx.x, begin = part * of.rowsPerPart, end = min(of.rows, begin + of.rowsPerPart);
  const auto units = static_cast<float>(of.d);
  Eight weightSums{}, biasSums{};
  for (int64_t row = begin; row < end; ++row) {
    const float r = of.rstd[row], mean = kCentred ? of.means[row] : 0.0f;
    Eight heldValues{}, heldGradients{};
    // Reads s, normalised, and the gradient of y.
    const auto readPiece = [&](const NormPiece& piece, Eight& values, Eight& gradients) {
      values = of.sum ? loadPiece<kByEight>(of.sum + piece.at, piece.count)
                      : loadPiece<kByEight>(of.x + piece.at, piece.count);
      gradients = of.gy ? loadPiece<kByEight>(of.gy + piece.at, piece.count) : Eight{};
#pragma unroll
      for (int i = 0; i < 8; ++i) values.v[i] = (values.v[i] - mean) * r;
    };
    float plain = 0, along = 0;
    eachPiece(row, of.d, [&](const NormPiece& piece, bool isFirst) {
      Eight values, gradients;
      readPiece(piece, values, gradients);
      const Eight weight = loadPiece<kByEight>(of.weight + piece.unit, piece.count);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float g = weight.v[i] * gradients.v[i];
        plain += g;
        along += i < piece.count ? g * values.v[i] : 0.0f;
      }
      if (isFirst) {
        heldValues = values;
        heldGradients = gradients;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          weightSums.v[i] += gradients.v[i] * values.v[i];
          if (kCentred) biasSums.v[i] += gradients.v[i];
        }
        return;
      }
      const float beta = row > begin ? 1.0f : 0.0f;
      const int64_t at = part * of.d + piece.unit;
      if (kCentred && of.biasParts) storePiece<kByEight>(of.biasParts + at, piece.count, beta, gradients);
      if (!of.weightParts) return;
#pragma unroll
      for (int i = 0; i < 8; ++i) gradients.v[i] *= values.v[i];
      storePiece<kByEight>(of.weightParts + at, piece.count, beta, gradients);
    });
    if (!of.gx && !of.gdelta) continue;
    plain = kCentred ? blockSum(plain) / units : 0.0f;
    along = blockSum(along) / units;
    eachPiece(row, of.d, [&](const NormPiece& piece, bool isFirst) {
      Eight values = heldValues, gradients = heldGradients;
      if (!isFirst) readPiece(piece, values, gradients);
      const Eight weight = loadPiece<kByEight>(of.weight + piece.unit, piece.count);
      Eight gradient = of.gsum ? loadPiece<kByEight>(of.gsum + piece.at, piece.count) : Eight{};
      if (of.gy)
#pragma unroll
        for (int i = 0; i < 8; ++i) gradient.v[i] += r * (weight.v[i] * gradients.v[i] - plain - values.v[i] * along);
      if (of.gx) storePiece<kByEight>(of.gx + piece.at, piece.count, of.betaX, gradient);
      if (!of.gdelta) return;
      if (of.mask.mask.active) {
        const Eight kept = keptEight(of.mask.mask, of.mask.group(row), static_cast<uint32_t>(piece.unit));
#pragma unroll
        for (int i = 0; i < 8; ++i) gradient.v[i] *= kept.v[i];
      }
      storePiece<kByEight>(of.gdelta + piece.at, piece.count, of.betaDelta, gradient);
    });
  }
  const int64_t first = 8 * int64_t{threadIdx.x};
  if (first >= of.d) return;
  const int count = static_cast<int>(min(of.d - first, int64_t{8}));
  if (of.weightParts) storePiece<kByEight>(of.weightParts + part * of.d + first, count, 0.0f, weightSums);
  if (kCentred && of.biasParts) storePiece<kByEight>(of.biasParts + part * of.d + first, count, 0.0f, biasSums);
}

/// The backward pass; `bias` is the index of the input `bias`, -1 for rms_norm.
template <bool kCentred, typename X, typename D, typename Y>
void runNormBackward(const Call& call, int bias, const float* means, const float* rstd) {
  NormBackward<X, D, Y> of(call, means, rstd);
  float *gw = dataOf<float>(inputGradient(call, 2)),
        *gb = bias < 0 ? nullptr : dataOf<float>(inputGradient(call, bias));
  // Without a gradient of y, weight and bias get no gradient.
  const int64_t parts = of.gy ? of.parts() : 0;
  const Scratch<float> weightParts(gw ? parts * of.d : 0), biasParts(gb ? parts * of.d : 0);
  if (gw && parts > 0) of.weightParts = weightParts;
  if (gb && parts > 0) of.biasParts = biasParts;
  if (of.rows > 0 && of.d > 0 && (of.gx || of.gdelta || of.weightParts || of.biasParts)) {
    const auto blocks = static_cast<unsigned>(of.parts());
    const int threads = normThreads(of.d);
    cudaStream_t stream = Context::current().stream();
    if (of.byEight()) {
      normBackward<kCentred, true><<<blocks, threads, 0, stream>>>(of);
    } else {
      normBackward<kCentred, false><<<blocks, threads, 0, stream>>>(of);
    }
    launched();
  }
  if (gw) sumOfParts(weightParts, parts, of.d, StoreColumn<float>{gw, call.beta(2)});
  if (gb) sumOfParts(biasParts, parts, of.d, StoreColumn<float>{gb, call.beta(bias)});
}

/// Runs body(X{}, D{}, Y{}) with the storage types of a call; without delta, D is that of y.
template <typename Body>
void byNormTypes(const Call& call, Body body) {
  const DType y = call.out(0).dtype;
  byType(call.in(0).dtype, [&](auto x) {
    byType(call.has(1) ? call.in(1).dtype : y,
           [&](auto delta) { byType(y, [&](auto result) { body(x, delta, result); }); });
  });
}

}  // namespace hint::cuda
