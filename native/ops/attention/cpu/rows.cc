#include "native/ops/attention/cpu/rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "native/ops/attention/cpu/tile.h"
#include "native/runtime/parallel.h"

namespace hint::attention {
namespace {

/// Far below every score, yet finite: exp of it is negligible beside the row's maximum.
constexpr float kHidden = -1e30f;

/// exp of a difference to a maximum or a logSumExp. It is at most 0 up to rounding, so fastExp's upper clamp is not
/// needed.
inline float expBelow(float x) {
  const float clamped = -86.0f > x ? -86.0f : x;
  // Adding 1.5 * 2^23 rounds to the nearest integer without a conversion instruction.
  const float shifted = clamped * 1.44269504088896341f + 12582912.0f, n = shifted - 12582912.0f;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = ((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f;
  p = (p * r + 1.6666665459e-1f) * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  uint32_t bits, exponent;
  std::memcpy(&bits, &p, 4);
  std::memcpy(&exponent, &shifted, 4);
  bits += exponent << 23;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

/// log of a normal positive number.
inline float logPositive(float x) {
  int32_t bits;
  std::memcpy(&bits, &x, 4);
  // Exponent and mantissa such that the mantissa lies in [sqrt(1/2), sqrt(2)).
  const int32_t exponent = (bits - 0x3f3504f3) >> 23;
  bits -= exponent << 23;
  float m;
  std::memcpy(&m, &bits, 4);
  const float t = (m - 1.0f) / (m + 1.0f), s = t * t;
  const float series = (((0.2222222f * s + 0.2857143f) * s + 0.4f) * s + 0.6666667f) * s + 2.0f;
  return static_cast<float>(exponent) * 0.69314718f + t * series + (x - x);  // keeps NaN visible
}

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
    x[c] = expBelow(x[c] - maximum);
    sum += x[c];
  }
  return sum;
}

inline void hidePadding(float* columns, int64_t keys) {
  const auto left = static_cast<int32_t>(keys % kLanes);
  if (left == 0) return;
  float* last = columns + (keys - left);
#pragma omp simd
  for (int32_t c = 0; c < static_cast<int32_t>(kLanes); ++c) last[c] = c < left ? last[c] : kHidden;
}

inline float sumOfLanes(float (&lanes)[kLanes]) {
  for (int64_t half = kLanes / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
}

/// Each of the three passes goes over all rows, so that the reductions of successive rows overlap.
HINT_CLONES void softmaxRowsLoop(const ScoreBlock& block, float* inverseSum, float* logSumExp) {
  for (int64_t row = 0; row < block.rows; ++row) {
    float* s = block.scores + row * block.rowStride;
    float* own = s + block.column[kOwn];
    const int64_t visible = block.visible(row);
    if (block.bias) {
      const float* bias = block.bias - (block.firstQuery + row);
#pragma omp simd
      for (int64_t j = 0; j < visible; ++j) own[j] += bias[j];
    }
    for (int g = 0; g < kOwn; ++g) {
      float* columns = s + block.column[g];
      hidePadding(columns, block.keys[g]);
      // What the lanes above do not reach.
      for (int64_t c = padded(block.keys[g]); c % block.multiple != 0; ++c) columns[c] = kHidden;
    }
    hidePadding(own, visible);
    logSumExp[row] = maximumOf(s, block.column[kOwn] + padded(visible));
  }
  for (int64_t row = 0; row < block.rows; ++row) {
    float* s = block.scores + row * block.rowStride;
    const int64_t visible = block.visible(row), count = block.column[kOwn] + padded(visible);
    inverseSum[row] = exponentials(s, count, logSumExp[row]);
    if (const float* mask = block.mask) {
#pragma omp simd
      for (int64_t c = 0; c < count; ++c) s[c] *= mask[c];
    }
    for (int64_t c = visible; c < block.keys[kOwn]; ++c) s[block.column[kOwn] + c] = 0.0f;
  }
#pragma omp simd
  for (int64_t row = 0; row < block.rows; ++row) {
    logSumExp[row] += logPositive(inverseSum[row]);
    inverseSum[row] = 1.0f / inverseSum[row];
  }
}

HINT_CLONES void softmaxGradientLoop(const ScoreBlock& block, float* dP, const float* logSumExp, const float* delta,
                                     bool allKeys) {
  float rests[kMostRows][kLanes];
  for (int64_t row = 0; row < block.rows; ++row) {
    float* s = block.scores + row * block.rowStride;
    float* d = dP + row * block.rowStride;
    float* own = s + block.column[kOwn];
    const int64_t visible = block.visible(row);
    if (block.bias) {
      const float* bias = block.bias - (block.firstQuery + row);
#pragma omp simd
      for (int64_t j = 0; j < visible; ++j) own[j] += bias[j];
    }
    const int64_t count = block.column[kOwn] + padded(visible);
    const float offset = logSumExp[row], mean = delta[row];
    for (int g = 0; g < kOwn; ++g) hidePadding(s + block.column[g], block.keys[g]);
    hidePadding(own, visible);
    if (const float* mask = block.mask) {
#pragma omp simd
      for (int64_t c = 0; c < count; ++c) {
        const float p = expBelow(s[c] - offset);
        s[c] = p * mask[c];
        d[c] = p * (mask[c] * d[c] - mean);
      }
    } else {
      float* lanes = rests[row];
      for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] = 0.0f;
#pragma omp simd
      for (int64_t c = 0; c < count; ++c) {
        s[c] = expBelow(s[c] - offset);
        d[c] -= mean;
      }
      for (int64_t c = 0; c < count; c += kLanes)
#pragma omp simd
        for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += s[c + lane] * d[c + lane];
    }
  }
  // A pass of its own over all rows, so that the reductions of successive rows overlap.
  for (int64_t row = 0; row < block.rows; ++row) {
    float* s = block.scores + row * block.rowStride;
    float* d = dP + row * block.rowStride;
    float *own = s + block.column[kOwn], *ownGradient = d + block.column[kOwn];
    const int64_t visible = block.visible(row), count = block.column[kOwn] + padded(visible);
    if (!block.mask) {
      // delta comes from the rounded o, so the gradients of a row do not sum to 0 exactly. The remainder has one sign
      // in the whole row; when v hardly differs between keys, as in padding, it exceeds the gradient itself. Subtract
      // it.
      float rest = 0.0f;
      if (allKeys) rest = sumOfLanes(rests[row]);
#pragma omp simd
      for (int64_t c = 0; c < count; ++c) d[c] = s[c] * (d[c] - rest);
    }
    for (int64_t c = visible; c < block.keys[kOwn]; ++c) own[c] = ownGradient[c] = 0.0f;
    // With a single key the weight is 1 whatever the score, so the gradient is exactly 0.
    if (allKeys && block.keys[0] + block.keys[1] + visible == 1) std::fill(d, d + count, 0.0f);
  }
}

HINT_CLONES void addRelativeGradientLoop(const ScoreBlock& block, const float* gradient, float* relativeGradient) {
  for (int64_t row = 0; row < block.rows; ++row) {
    const float* g = gradient + row * block.rowStride + block.column[kOwn];
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

/// The scores of a single query.
struct SingleScores {
  float* scratch;
  float* logSumExp;
  int64_t firstHead, endHead;
  const float* bias;
  int64_t biasStride;
  const float* mask;
};

/// Scores to probabilities, dropout included, for every head of a single query.
HINT_CLONES void softmaxSingleLoop(const SingleScores& query, int64_t own, int64_t keys) {
  for (int64_t h = 0; h < query.endHead - query.firstHead; ++h) {
    float* s = query.scratch + h * keys;
    if (query.bias) {
      const float* bias = query.bias + (query.firstHead + h) * query.biasStride;
#pragma omp simd
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
}

}  // namespace

void softmaxRows(const ScoreBlock& block, float* inverseSum, float* logSumExp) {
  softmaxRowsLoop(block, inverseSum, logSumExp);
}

void softmaxGradientRows(const ScoreBlock& block, float* dP, const float* logSumExp, const float* delta, bool allKeys) {
  softmaxGradientLoop(block, dP, logSumExp, delta, allKeys);
}

void addRelativeGradient(const ScoreBlock& block, const float* gradient, float* relativeGradient) {
  addRelativeGradientLoop(block, gradient, relativeGradient);
}

void rowDots(const float* a, const float* b, int64_t rows, int64_t stride, int64_t dim, float* out) {
  rowDotsLoop(a, b, rows, stride, dim, out);
}

template <typename Value>
void attendSingle(const SingleQuery<Value>& query) {
  const int64_t heads = query.endHead - query.firstHead, dim = query.headDim, begin = query.firstHead * dim;
  int64_t keys = 0;
  for (int g = 0; g < query.segments; ++g) keys += query.rows[g].count;
  // Sixteen rows of all heads at a time: memory is read nearly in order. The next sixteen are asked for meanwhile, some
  // lines with each head, because the processor does not foresee the order of heads.
  constexpr int64_t kLine = 64 / sizeof(Value);
  const auto eachBlock = [&](const Value* KeyRows<Value>::*part, const auto& body) {
    int64_t column = 0;
    for (int g = 0; g < query.segments; ++g) {
      const KeyRows<Value>& rows = query.rows[g];
      for (int64_t j = 0; j < rows.count; j += kLanes) {
        const int64_t count = std::min(kLanes, rows.count - j), next = j + kLanes;
        for (int64_t h = 0; h < heads; ++h) {
          // Together all lines of the next rows where these are all heads; else about as many, of fewer rows.
          const int64_t ahead = std::max<int64_t>(0, std::min(kLanes, rows.count - next)) * dim;
          const Value* line = rows.*part + next * query.width + begin + h * ahead;
          for (int64_t at = 0; at < ahead; at += kLine) __builtin_prefetch(line + at);
          body(rows, j * query.width + begin + h * dim, count, h, query.scratch + h * keys + column);
        }
        column += count;
      }
    }
  };
  eachBlock(&KeyRows<Value>::k, [&](const KeyRows<Value>& rows, int64_t from, int64_t count, int64_t h, float* scores) {
    dotRows(query.q + begin + h * dim, rows.k + from, count, query.width, dim, scores);
  });
  softmaxSingleLoop(
      {query.scratch, query.logSumExp, query.firstHead, query.endHead, query.bias, query.biasStride, query.mask},
      query.rows[query.segments - 1].count, keys);
  std::fill(query.o + begin, query.o + begin + heads * dim, 0.0f);
  eachBlock(&KeyRows<Value>::v,
            [&](const KeyRows<Value>& rows, int64_t from, int64_t count, int64_t h, const float* p) {
              addWeightedRows(p, rows.v + from, count, query.width, dim, query.o + begin + h * dim);
            });
}

template void attendSingle(const SingleQuery<float>& query);
template void attendSingle(const SingleQuery<uint16_t>& query);

}  // namespace hint::attention
