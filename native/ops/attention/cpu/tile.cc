#include "native/ops/attention/cpu/tile.h"

#include <bit>

#include "native/math/instructions.h"
#include "native/math/vector_targets.h"
#include "native/runtime/parallel.h"

namespace hint::attention {
namespace {

HINT_INLINE float valueOf(float value) { return value; }
/// Of a bf16 value.
HINT_INLINE float valueOf(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

/// The first and the second half of a[0], b[0], a[1], b[1], ...
HINT_INLINE void interleavePair(const Vector16& a, const Vector16& b, Vector16& low, Vector16& high) {
  low = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  high = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
HINT_INLINE void interleavePair(const Vector8& a, const Vector8& b, Vector8& low, Vector8& high) {
  low = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  high = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}
HINT_INLINE void interleavePair(const Vector4& a, const Vector4& b, Vector4& low, Vector4& high) {
  low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
}

/// One of log2(lanes) rounds that together transpose a square of vectors.
template <typename Vector>
HINT_INLINE void interleave(const Vector* in, Vector* out) {
  constexpr int half = vectorLanes<Vector> / 2;
  for (int i = 0; i < half; ++i) interleavePair(in[i], in[i + half], out[2 * i], out[2 * i + 1]);
}

template <typename Vector>
HINT_INLINE void packPanelsTiles(const float* rows, int64_t count, int64_t stride, int64_t dim, float* panels) {
  constexpr int L = vectorLanes<Vector>;
  for (int64_t first = 0; first < count; first += kLanes, panels += dim * kLanes) {
    const int64_t here = count - first < kLanes ? count - first : kLanes;
    const float* source = rows + first * stride;
    int64_t d = 0;
    for (; d + L <= dim; d += L)
      for (int64_t i = 0; i < kLanes; i += L) {
        Vector x[L], y[L];
        for (int r = 0; r < L; ++r) {
          x[r] = Vector{};
          if (i + r < here) loadVector(x[r], source + (i + r) * stride + d);
        }
        interleave(x, y);
        interleave(y, x);
        if constexpr (L >= 8) interleave(x, y);
        if constexpr (L >= 16) interleave(y, x);
        for (int r = 0; r < L; ++r) storeVector(L == 8 ? y[r] : x[r], panels + (d + r) * kLanes + i);
      }
    for (; d < dim; ++d)
      for (int64_t i = 0; i < kLanes; ++i) panels[d * kLanes + i] = i < here ? source[i * stride + d] : 0.0f;
  }
}

/// The sums over lanes of `lanes` vectors, in order, by the rounds of a transposition with an addition in each.
template <typename Vector>
HINT_INLINE void sumLanes(Vector* x) {
  constexpr int L = vectorLanes<Vector>;
  Vector y[L];
#pragma GCC unroll 4
  for (int half = L / 2; half >= 1; half /= 2)
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) {
      interleavePair(x[i], x[i + half], y[0], y[1]);
      x[i] = y[0] + y[1];
    }
}

/// Dot products of x with `count` rows, as many as a vector has lanes where `IsWhole`.
template <bool IsWhole, typename Vector, typename Value>
HINT_INLINE void dotRowsTile(const float* x, const Value* rows, int64_t count, int64_t stride, int64_t dim,
                             float* out) {
  constexpr int L = vectorLanes<Vector>;
  Vector sum[L];
  for (int j = 0; j < L; ++j) sum[j] = Vector{};
  int64_t d = 0;
  for (; d + L <= dim; d += L) {
    Vector factor, row;
    loadVector(factor, x + d);
#pragma GCC unroll 16
    for (int j = 0; j < L; ++j)
      if (IsWhole || j < count) {
        loadVector(row, rows + j * stride + d);
        sum[j] += factor * row;
      }
  }
  sumLanes(sum);
  float result[L];
  storeVector(sum[0], result);
  for (int64_t j = 0; j < count; ++j) {
    for (int64_t rest = d; rest < dim; ++rest) result[j] += x[rest] * valueOf(rows[j * stride + rest]);
    out[j] = result[j];
  }
}

template <typename Vector, typename Value>
HINT_INLINE void dotRowsTiles(const float* x, const Value* rows, int64_t count, int64_t stride, int64_t dim,
                              float* out) {
  constexpr int64_t L = vectorLanes<Vector>;
  for (; count >= L; count -= L, rows += L * stride, out += L) dotRowsTile<true, Vector>(x, rows, L, stride, dim, out);
  if (count > 0) dotRowsTile<false, Vector>(x, rows, count, stride, dim, out);
}

template <typename Vector, int Vectors, typename Value>
HINT_INLINE void addWeightedColumns(const float* weights, const Value* rows, int64_t count, int64_t stride, float* y) {
  constexpr int L = vectorLanes<Vector>;
  Vector sum[Vectors], row;
  for (int v = 0; v < Vectors; ++v) sum[v] = Vector{};
#pragma GCC unroll 4
  for (int64_t j = 0; j < count; ++j)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      loadVector(row, rows + j * stride + v * L);
      sum[v] += weights[j] * row;
    }
  for (int v = 0; v < Vectors; ++v) {
    loadVector(row, y + v * L);
    storeVector(row + sum[v], y + v * L);
  }
}

template <typename Vector, typename Value>
HINT_INLINE void addWeightedRowsTiles(const float* weights, const Value* rows, int64_t count, int64_t stride,
                                      int64_t dim, float* y) {
  constexpr int L = vectorLanes<Vector>;
  int64_t d = 0;
  for (; d + 4 * L <= dim; d += 4 * L) addWeightedColumns<Vector, 4>(weights, rows + d, count, stride, y + d);
  for (; d + L <= dim; d += L) addWeightedColumns<Vector, 1>(weights, rows + d, count, stride, y + d);
  for (; d < dim; ++d) {
    float sum = 0.0f;
    for (int64_t j = 0; j < count; ++j) sum += weights[j] * valueOf(rows[j * stride + d]);
    y[d] += sum;
  }
}

template <typename Value>
using DotRows = void (*)(const float* x, const Value* rows, int64_t count, int64_t stride, int64_t dim, float* out);
template <typename Value>
using AddWeightedRows = void (*)(const float* weights, const Value* rows, int64_t count, int64_t stride, int64_t dim,
                                 float* y);

struct TileKernels {
  decltype(&attention::packPanels) panels;
  DotRows<float> dots;
  DotRows<uint16_t> dotsOfHalves;
  AddWeightedRows<float> weightedSum;
  AddWeightedRows<uint16_t> weightedSumOfHalves;
};

// HINT_CLONES would not do: the shape of a tile differs between instruction sets, not only its code.
#define HINT_ROW_KERNELS(name, target, Vector, Value)                                                       \
  target void dotRows##name(const float* x, const Value* rows, int64_t count, int64_t stride, int64_t dim,  \
                            float* out) {                                                                   \
    dotRowsTiles<Vector>(x, rows, count, stride, dim, out);                                                 \
  }                                                                                                         \
  target void addWeightedRows##name(const float* weights, const Value* rows, int64_t count, int64_t stride, \
                                    int64_t dim, float* y) {                                                \
    addWeightedRowsTiles<Vector>(weights, rows, count, stride, dim, y);                                     \
  }
#define HINT_TILE_KERNELS(name, target, Vector)                                                                \
  target void packPanels##name(const float* rows, int64_t count, int64_t stride, int64_t dim, float* panels) { \
    packPanelsTiles<Vector>(rows, count, stride, dim, panels);                                                 \
  }                                                                                                            \
  HINT_ROW_KERNELS(name, target, Vector, float)                                                                \
  HINT_ROW_KERNELS(name, target, Vector, uint16_t)                                                             \
  const TileKernels kernels##name = {packPanels##name, dotRows##name, dotRows##name, addWeightedRows##name,    \
                                     addWeightedRows##name};

HINT_TILE_KERNELS(4, , Vector4)
#if defined(HINT_HAS_TARGETS)
HINT_TILE_KERNELS(8, HINT_TARGET_8, Vector8)
HINT_TILE_KERNELS(16, HINT_TARGET_16, Vector16)
#endif

const TileKernels& tileKernels() {
  static const TileKernels& chosen = []() -> const TileKernels& {
#if defined(HINT_HAS_TARGETS)
    if (supports(Instructions::avx512)) return kernels16;
    if (supports(Instructions::avx2)) return kernels8;
#endif
    return kernels4;
  }();
  return chosen;
}

HINT_CLONES void packRowsLoop(const float* rows, int64_t count, int64_t stride, int64_t dim, float* packed) {
  const int64_t width = padded(dim);
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t d = 0; d < dim; ++d) packed[d] = rows[d];
    for (int64_t d = dim; d < width; ++d) packed[d] = 0.0f;
    rows += stride;
    packed += width;
  }
}

HINT_CLONES void unpackRowsLoop(const float* packed, int64_t count, int64_t dim, const float* factor, float beta,
                                float* target, int64_t stride) {
  for (int64_t row = 0; row < count; ++row) {
    const float scale = factor ? factor[row] : 1.0f;
    if (beta == 0.0f) {
      for (int64_t d = 0; d < dim; ++d) target[d] = scale * packed[d];
    } else {
      for (int64_t d = 0; d < dim; ++d) target[d] = beta * target[d] + scale * packed[d];
    }
    target += stride;
    packed += padded(dim);
  }
}

HINT_CLONES void addRowsLoop(const float* packed, int64_t count, int64_t dim, double* sums, int64_t stride) {
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t d = 0; d < dim; ++d) sums[d] += static_cast<double>(packed[d]);
    sums += stride;
    packed += padded(dim);
  }
}

}  // namespace

void packPanels(const float* rows, int64_t count, int64_t stride, int64_t dim, float* panels) {
  tileKernels().panels(rows, count, stride, dim, panels);
}

void dotRows(const float* x, const float* rows, int64_t count, int64_t stride, int64_t dim, float* out) {
  tileKernels().dots(x, rows, count, stride, dim, out);
}

void dotRows(const float* x, const uint16_t* rows, int64_t count, int64_t stride, int64_t dim, float* out) {
  tileKernels().dotsOfHalves(x, rows, count, stride, dim, out);
}

void addWeightedRows(const float* weights, const float* rows, int64_t count, int64_t stride, int64_t dim, float* y) {
  tileKernels().weightedSum(weights, rows, count, stride, dim, y);
}

void addWeightedRows(const float* weights, const uint16_t* rows, int64_t count, int64_t stride, int64_t dim, float* y) {
  tileKernels().weightedSumOfHalves(weights, rows, count, stride, dim, y);
}

void packRows(const float* rows, int64_t count, int64_t stride, int64_t dim, float* packed) {
  packRowsLoop(rows, count, stride, dim, packed);
}

void unpackRows(const float* packed, int64_t count, int64_t dim, const float* factor, float beta, float* target,
                int64_t stride) {
  unpackRowsLoop(packed, count, dim, factor, beta, target, stride);
}

void addRows(const float* packed, int64_t count, int64_t dim, double* sums, int64_t stride) {
  addRowsLoop(packed, count, dim, sums, stride);
}

}  // namespace hint::attention
