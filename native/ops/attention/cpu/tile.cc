#include "native/ops/attention/cpu/tile.h"

#include "native/runtime/parallel.h"

namespace hint::attention {
namespace {

/// Vectors as wide as the registers of each instruction set.
typedef float Vector16 __attribute__((vector_size(64)));
typedef float Vector8 __attribute__((vector_size(32)));
typedef float Vector4 __attribute__((vector_size(16)));

#define HINT_INLINE __attribute__((always_inline)) inline

template <typename Vector>
constexpr int lanes = sizeof(Vector) / sizeof(float);
// memcpy, because rows have no alignment, which a cast would promise.
template <typename Vector>
HINT_INLINE void load(Vector& x, const float* from) {
  __builtin_memcpy(&x, from, sizeof x);
}
template <typename Vector>
HINT_INLINE void store(const Vector& x, float* to) {
  __builtin_memcpy(to, &x, sizeof x);
}

/// `Groups` groups of sixteen columns of c for `Rows` rows, all sums in registers.
template <typename Vector, int Rows, int Groups>
HINT_INLINE void tile(const TileProduct& p, const float* a, const float* b, float* c, int64_t depth, bool accumulate) {
  constexpr int L = lanes<Vector>, perGroup = kLanes / L, vectors = Groups * perGroup;
  const int64_t aRow = p.aRow, aDepth = p.aDepth, bDepth = p.bDepth, bVector = p.bVector, cRow = p.cRow;
  Vector sum[Rows][vectors];
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < vectors; ++v) sum[r][v] = Vector{};
  for (int64_t k = 0; k < depth; ++k) {
    Vector column[vectors];
    for (int v = 0; v < vectors; ++v) load(column[v], b + (v / perGroup) * bVector + (v % perGroup) * L);
    for (int r = 0; r < Rows; ++r) {
      const float x = a[r * aRow];
      for (int v = 0; v < vectors; ++v) sum[r][v] += x * column[v];
    }
    a += aDepth;
    b += bDepth;
  }
  // The old value of c is added last, so that the chain of additions is only as long as this depth.
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < vectors; ++v) {
      Vector before{};
      if (accumulate) load(before, c + r * cRow + v * L);
      store(before + sum[r][v], c + r * cRow + v * L);
    }
}

/// All rows of p for `Groups` groups of columns, in tiles of Tallest rows and a remainder of smaller ones.
template <typename Vector, int Tallest, int Groups>
HINT_INLINE void rowTiles(const TileProduct& p, const float* a, const float* b, float* c, int64_t depth,
                          bool accumulate) {
  int64_t r = 0;
  for (; r + Tallest <= p.m; r += Tallest)
    tile<Vector, Tallest, Groups>(p, a + r * p.aRow, b, c + r * p.cRow, depth, accumulate);
  if constexpr (Tallest > 6)
    if (r + 6 <= p.m) {
      tile<Vector, 6, Groups>(p, a + r * p.aRow, b, c + r * p.cRow, depth, accumulate);
      r += 6;
    }
  for (; r + 2 <= p.m; r += 2) tile<Vector, 2, Groups>(p, a + r * p.aRow, b, c + r * p.cRow, depth, accumulate);
  if (r < p.m) tile<Vector, 1, Groups>(p, a + r * p.aRow, b, c + r * p.cRow, depth, accumulate);
}

/// `Widest` and the heights are chosen so that the sums fill the registers but for the operands: 24 of 32, 12 of 16.
template <typename Vector, int Widest>
HINT_INLINE void multiplyTiles(const TileProduct& p) {
  // 8 KiB of b at a time stay in the first cache level while all rows of a are multiplied with them.
  constexpr int64_t kDepth = 32;
  constexpr bool wide = lanes<Vector> == kLanes;
  constexpr int narrowRows = wide ? 12 : lanes<Vector> == 8 ? 6 : 3;
  int64_t from = 0;
  do {
    const int64_t depth = p.depth - from < 2 * kDepth ? p.depth - from : kDepth;
    const bool accumulate = p.accumulate || from > 0;
    const float* a = p.a + from * p.aDepth;
    int64_t v = 0;
    const auto b = [&]() { return p.b + from * p.bDepth + v * p.bVector; };
    if constexpr (Widest == 4)
      for (; v + 4 <= p.vectors; v += 4) rowTiles<Vector, 6, 4>(p, a, b(), p.c + v * kLanes, depth, accumulate);
    if constexpr (Widest >= 2)
      for (; v + 2 <= p.vectors; v += 2) rowTiles<Vector, 12, 2>(p, a, b(), p.c + v * kLanes, depth, accumulate);
    for (; v < p.vectors; ++v) rowTiles<Vector, narrowRows, 1>(p, a, b(), p.c + v * kLanes, depth, accumulate);
    from += depth;
  } while (from < p.depth);
}

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
  constexpr int half = lanes<Vector> / 2;
  for (int i = 0; i < half; ++i) interleavePair(in[i], in[i + half], out[2 * i], out[2 * i + 1]);
}

template <typename Vector>
HINT_INLINE void packPanelsTiles(const float* rows, int64_t count, int64_t stride, int64_t dim, float* panels) {
  constexpr int L = lanes<Vector>;
  for (int64_t first = 0; first < count; first += kLanes, panels += dim * kLanes) {
    const int64_t here = count - first < kLanes ? count - first : kLanes;
    const float* source = rows + first * stride;
    int64_t d = 0;
    for (; d + L <= dim; d += L)
      for (int64_t i = 0; i < kLanes; i += L) {
        Vector x[L], y[L];
        for (int r = 0; r < L; ++r) {
          x[r] = Vector{};
          if (i + r < here) load(x[r], source + (i + r) * stride + d);
        }
        interleave(x, y);
        interleave(y, x);
        if constexpr (L >= 8) interleave(x, y);
        if constexpr (L >= 16) interleave(y, x);
        for (int r = 0; r < L; ++r) store(L == 8 ? y[r] : x[r], panels + (d + r) * kLanes + i);
      }
    for (; d < dim; ++d)
      for (int64_t i = 0; i < kLanes; ++i) panels[d * kLanes + i] = i < here ? source[i * stride + d] : 0.0f;
  }
}

/// The sums over lanes of `lanes` vectors, in order, by the rounds of a transposition with an addition in each.
template <typename Vector>
HINT_INLINE void sumLanes(Vector* x) {
  constexpr int L = lanes<Vector>;
  Vector y[L];
  for (int half = L / 2; half >= 1; half /= 2)
    for (int i = 0; i < half; ++i) {
      interleavePair(x[i], x[i + half], y[0], y[1]);
      x[i] = y[0] + y[1];
    }
}

template <typename Vector>
HINT_INLINE void dotRowsTiles(const float* x, const float* rows, int64_t count, int64_t stride, int64_t dim,
                              float* out) {
  constexpr int L = lanes<Vector>;
  for (int64_t first = 0; first < count; first += L) {
    const int64_t here = count - first < L ? count - first : L;
    const float* source = rows + first * stride;
    Vector sum[L];
    for (int j = 0; j < L; ++j) sum[j] = Vector{};
    int64_t d = 0;
    for (; d + L <= dim; d += L) {
      Vector factor, row;
      load(factor, x + d);
      for (int j = 0; j < L; ++j)
        if (j < here) {
          load(row, source + j * stride + d);
          sum[j] += factor * row;
        }
    }
    sumLanes(sum);
    float result[L];
    store(sum[0], result);
    for (int64_t j = 0; j < here; ++j) {
      for (int64_t rest = d; rest < dim; ++rest) result[j] += x[rest] * source[j * stride + rest];
      out[first + j] = result[j];
    }
  }
}

template <typename Vector, int Vectors>
HINT_INLINE void addWeightedColumns(const float* weights, const float* rows, int64_t count, int64_t stride, float* y) {
  constexpr int L = lanes<Vector>;
  Vector sum[Vectors], row;
  for (int v = 0; v < Vectors; ++v) sum[v] = Vector{};
  for (int64_t j = 0; j < count; ++j)
    for (int v = 0; v < Vectors; ++v) {
      load(row, rows + j * stride + v * L);
      sum[v] += weights[j] * row;
    }
  for (int v = 0; v < Vectors; ++v) {
    load(row, y + v * L);
    store(row + sum[v], y + v * L);
  }
}

template <typename Vector>
HINT_INLINE void addWeightedRowsTiles(const float* weights, const float* rows, int64_t count, int64_t stride,
                                      int64_t dim, float* y) {
  constexpr int L = lanes<Vector>;
  int64_t d = 0;
  for (; d + 4 * L <= dim; d += 4 * L) addWeightedColumns<Vector, 4>(weights, rows + d, count, stride, y + d);
  for (; d + L <= dim; d += L) addWeightedColumns<Vector, 1>(weights, rows + d, count, stride, y + d);
  for (; d < dim; ++d) {
    float sum = 0.0f;
    for (int64_t j = 0; j < count; ++j) sum += weights[j] * rows[j * stride + d];
    y[d] += sum;
  }
}

struct TileKernels {
  decltype(&attention::multiply) product;
  decltype(&attention::packPanels) panels;
  decltype(&attention::dotRows) dots;
  decltype(&attention::addWeightedRows) weightedSum;
};

// HINT_CLONES would not do: the shape of a tile differs between instruction sets, not only its code.
#define HINT_TILE_KERNELS(name, target, Vector, widest)                                                        \
  target void multiply##name(const TileProduct& p) { multiplyTiles<Vector, widest>(p); }                       \
  target void packPanels##name(const float* rows, int64_t count, int64_t stride, int64_t dim, float* panels) { \
    packPanelsTiles<Vector>(rows, count, stride, dim, panels);                                                 \
  }                                                                                                            \
  target void dotRows##name(const float* x, const float* rows, int64_t count, int64_t stride, int64_t dim,     \
                            float* out) {                                                                      \
    dotRowsTiles<Vector>(x, rows, count, stride, dim, out);                                                    \
  }                                                                                                            \
  target void addWeightedRows##name(const float* weights, const float* rows, int64_t count, int64_t stride,    \
                                    int64_t dim, float* y) {                                                   \
    addWeightedRowsTiles<Vector>(weights, rows, count, stride, dim, y);                                        \
  }                                                                                                            \
  const TileKernels kernels##name = {multiply##name, packPanels##name, dotRows##name, addWeightedRows##name};

HINT_TILE_KERNELS(4, , Vector4, 1)
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
HINT_TILE_KERNELS(8, __attribute__((target("avx2,fma"))), Vector8, 1)
HINT_TILE_KERNELS(16, __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,fma"))), Vector16, 4)
#endif

const TileKernels& tileKernels() {
  static const TileKernels& chosen = []() -> const TileKernels& {
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
    __builtin_cpu_init();
    const bool fma = __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2");
    if (fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
      return kernels16;
    if (fma) return kernels8;
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

void multiply(const TileProduct& product) {
  if (product.m > 0 && product.vectors > 0) tileKernels().product(product);
}

void packPanels(const float* rows, int64_t count, int64_t stride, int64_t dim, float* panels) {
  tileKernels().panels(rows, count, stride, dim, panels);
}

void dotRows(const float* x, const float* rows, int64_t count, int64_t stride, int64_t dim, float* out) {
  tileKernels().dots(x, rows, count, stride, dim, out);
}

void addWeightedRows(const float* weights, const float* rows, int64_t count, int64_t stride, int64_t dim, float* y) {
  tileKernels().weightedSum(weights, rows, count, stride, dim, y);
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
