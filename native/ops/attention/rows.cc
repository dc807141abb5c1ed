#include "native/ops/attention/rows.h"

#include <cmath>

#include "native/ops/attention/tile.h"
#include "native/runtime/parallel.h"
#include "native/runtime/vector_math.h"

namespace hint::attention {
namespace {

/// Far below every score, yet finite: exp of it is negligible beside the row's maximum.
constexpr float kHidden = -1e30f;

inline float maximumOf(const float* x, int64_t count) {
  float maximum = -INFINITY;
#pragma omp simd reduction(max : maximum)
  for (int64_t c = 0; c < count; ++c) maximum = x[c] > maximum ? x[c] : maximum;
  return maximum;
}

/// x = exp(x - maximum); returns the sum.
inline float exponentials(float* x, int64_t count, float maximum) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < count; ++c) {
    x[c] = fastExp(x[c] - maximum);
    sum += x[c];
  }
  return sum;
}

HINT_CLONES void softmaxRowsLoop(const ScoreBlock& block, float* inverseSum, float* logSumExp) {
  const int last = block.segments - 1;
  for (int64_t row = 0; row < block.rows; ++row) {
    float* s = block.scores + row * block.rowStride;
    float* own = s + block.column[last];
    const int64_t ownKeys = block.keys[last], visible = block.visible(row);
    if (block.bias) {
      const float* bias = block.bias - (block.firstQuery + row);
      for (int64_t j = 0; j < visible; ++j) own[j] += bias[j];
    }
    for (int g = 0; g < last; ++g)
      for (int64_t c = block.keys[g]; c < padded(block.keys[g]); ++c) s[block.column[g] + c] = kHidden;
    for (int64_t c = visible; c < padded(visible); ++c) own[c] = kHidden;
    const int64_t count = block.column[last] + padded(visible);
    const float maximum = maximumOf(s, count);
    const float sum = exponentials(s, count, maximum);
    if (block.mask)
      for (int64_t c = 0; c < count; ++c) s[c] *= block.mask[c];
    for (int64_t c = visible; c < ownKeys; ++c) own[c] = 0.0f;
    inverseSum[row] = 1.0f / sum;
    logSumExp[row] = maximum + std::log(sum);
  }
}

HINT_CLONES void softmaxGradientLoop(const ScoreBlock& block, float* dP, const float* logSumExp, const float* delta) {
  const int last = block.segments - 1;
  for (int64_t row = 0; row < block.rows; ++row) {
    float* s = block.scores + row * block.rowStride;
    float* d = dP + row * block.rowStride;
    float *own = s + block.column[last], *ownGradient = d + block.column[last];
    const int64_t ownKeys = block.keys[last], visible = block.visible(row);
    if (block.bias) {
      const float* bias = block.bias - (block.firstQuery + row);
      for (int64_t j = 0; j < visible; ++j) own[j] += bias[j];
    }
    const int64_t count = block.column[last] + padded(visible);
    const float offset = logSumExp[row], mean = delta[row];
    if (const float* mask = block.mask) {
      for (int64_t c = 0; c < count; ++c) {
        const float p = fastExp(s[c] - offset);
        s[c] = p * mask[c];
        d[c] = p * (mask[c] * d[c] - mean);
      }
    } else {
      for (int64_t c = 0; c < count; ++c) {
        s[c] = fastExp(s[c] - offset);
        d[c] = s[c] * (d[c] - mean);
      }
    }
    for (int64_t c = visible; c < ownKeys; ++c) own[c] = ownGradient[c] = 0.0f;
  }
}

HINT_CLONES void addRelativeGradientLoop(const ScoreBlock& block, const float* gradient, float* relativeGradient) {
  for (int64_t row = 0; row < block.rows; ++row) {
    const float* g = gradient + row * block.rowStride + block.ownColumn();
    float* target = relativeGradient - (block.firstQuery + row);
    const int64_t visible = block.visible(row);
#pragma omp simd
    for (int64_t j = 0; j < visible; ++j) target[j] += g[j];
  }
}

HINT_CLONES void rowDotsLoop(const float* a, const float* b, int64_t rows, int64_t stride, int64_t dim, float* out) {
  for (int64_t row = 0; row < rows; ++row) {
    const float *x = a + row * stride, *y = b + row * stride;
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t d = 0; d < dim; ++d) sum += x[d] * y[d];
    out[row] = sum;
  }
}

inline float dot(const float* x, const float* y, int64_t count) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t d = 0; d < count; ++d) sum += x[d] * y[d];
  return sum;
}

HINT_CLONES void attendSingleLoop(const SingleQuery& query) {
  const int64_t heads = query.endHead - query.firstHead, dim = query.headDim, begin = query.firstHead * dim;
  int64_t keys = 0;
  for (int g = 0; g < query.segments; ++g) keys += query.rows[g].count;
  float* scores = query.scratch;
  const float* q = query.q + begin;
  int64_t column = 0;
  for (int g = 0; g < query.segments; ++g) {
    const float* k = query.rows[g].k + begin;
    for (int64_t j = 0; j < query.rows[g].count; ++j, ++column, k += query.width)
      for (int64_t h = 0; h < heads; ++h) scores[h * keys + column] = dot(q + h * dim, k + h * dim, dim);
  }
  const int64_t own = query.rows[query.segments - 1].count;
  for (int64_t h = 0; h < heads; ++h) {
    float* s = scores + h * keys;
    if (query.bias) {
      const float* bias = query.bias + (query.firstHead + h) * query.biasStride;
      for (int64_t j = 0; j < own; ++j) s[keys - own + j] += bias[j];
    }
    const float maximum = maximumOf(s, keys);
    const float sum = exponentials(s, keys, maximum);
    const float inverse = 1.0f / sum;
    if (query.logSumExp) query.logSumExp[query.firstHead + h] = maximum + std::log(sum);
    if (query.mask) {
      for (int64_t c = 0; c < keys; ++c) s[c] *= inverse * query.mask[h * keys + c];
    } else {
      for (int64_t c = 0; c < keys; ++c) s[c] *= inverse;
    }
  }
  float* o = query.o + begin;
  for (int64_t d = 0; d < heads * dim; ++d) o[d] = 0.0f;
  column = 0;
  for (int g = 0; g < query.segments; ++g) {
    const float* v = query.rows[g].v + begin;
    const int64_t count = query.rows[g].count, width = query.width;
    int64_t j = 0;
    // Four rows at a time quarter the traffic on o.
    for (; j + 4 <= count; j += 4, column += 4, v += 4 * width)
      for (int64_t h = 0; h < heads; ++h) {
        const float* p = scores + h * keys + column;
        const float p0 = p[0], p1 = p[1], p2 = p[2], p3 = p[3];
        const float* x = v + h * dim;
        float* y = o + h * dim;
#pragma omp simd
        for (int64_t d = 0; d < dim; ++d)
          y[d] += p0 * x[d] + p1 * x[d + width] + p2 * x[d + 2 * width] + p3 * x[d + 3 * width];
      }
    for (; j < count; ++j, ++column, v += width)
      for (int64_t h = 0; h < heads; ++h) {
        const float p = scores[h * keys + column];
#pragma omp simd
        for (int64_t d = 0; d < dim; ++d) o[h * dim + d] += p * v[h * dim + d];
      }
  }
}

}  // namespace

void softmaxRows(const ScoreBlock& block, float* inverseSum, float* logSumExp) {
  softmaxRowsLoop(block, inverseSum, logSumExp);
}

void softmaxGradientRows(const ScoreBlock& block, float* dP, const float* logSumExp, const float* delta) {
  softmaxGradientLoop(block, dP, logSumExp, delta);
}

void addRelativeGradient(const ScoreBlock& block, const float* gradient, float* relativeGradient) {
  addRelativeGradientLoop(block, gradient, relativeGradient);
}

void rowDots(const float* a, const float* b, int64_t rows, int64_t stride, int64_t dim, float* out) {
  rowDotsLoop(a, b, rows, stride, dim, out);
}

void attendSingle(const SingleQuery& query) { attendSingleLoop(query); }

}  // namespace hint::attention
