#pragma once

#include <cstdint>

/// What happens to rows of scores between the matrix products, and attention of single queries.
namespace hint::attention {

constexpr int kMaxSegments = 3;  ///< prefix, shared, own

/// Rows of scores of consecutive queries of one head, column groups one per segment of keys. The last segment holds
/// the sequence's own keys: the only ones with a bias and a causal mask.
struct ScoreBlock {
  float* scores;
  int64_t rowStride, rows;
  int segments;
  int64_t column[kMaxSegments];  ///< first column of each segment
  int64_t keys[kMaxSegments];    ///< keys of each segment; columns up to the next multiple of 16 are padding
  int64_t firstQuery;            ///< index of row 0 inside its sequence
  bool causal;
  const float* bias;  ///< bias[relative] for relative = key - query, may be negative; null for none
  const float* mask;  ///< dropout factor by column; null for none

  int64_t ownColumn() const { return column[segments - 1]; }
  int64_t ownKeys() const { return keys[segments - 1]; }
  int64_t visible(int64_t row) const {
    return causal && firstQuery + row + 1 < ownKeys() ? firstQuery + row + 1 : ownKeys();
  }
};

/// Turns scores into exp(score - maximum) * mask, 0 for masked keys, and writes each row's 1 / sum and logSumExp.
void softmaxRows(const ScoreBlock& block, float* inverseSum, float* logSumExp);

/// From scores and dP (same layout): scores become p * mask, dP becomes the gradient of the scores,
/// p * (mask * dP - delta[row]) with p = exp(score - logSumExp[row]); both 0 for masked keys.
void softmaxGradientRows(const ScoreBlock& block, float* dP, const float* logSumExp, const float* delta);

/// relativeGradient[key - query] += gradient for own visible keys.
void addRelativeGradient(const ScoreBlock& block, const float* gradient, float* relativeGradient);

/// out[row] = sum_d a[row, d] * b[row, d].
void rowDots(const float* a, const float* b, int64_t rows, int64_t stride, int64_t dim, float* out);

/// Keys and values of one segment as they lie in memory, all heads side by side.
struct KeyRows {
  const float *k, *v;
  int64_t count;
};

/// Attention of one query for heads [firstHead, endHead): reads keys and values once, in place, row by row.
struct SingleQuery {
  const float* q;
  float* o;
  float* logSumExp;  ///< [heads], may be null
  int segments;
  KeyRows rows[kMaxSegments];
  int64_t width, headDim, firstHead, endHead;
  const float* bias;  ///< bias[head * biasStride + key] over the keys of the last segment; null for none
  int64_t biasStride;
  const float* mask;  ///< [endHead - firstHead, keys of all segments]; null for none
  float* scratch;     ///< (endHead - firstHead) * keys of all segments
};
void attendSingle(const SingleQuery& query);

}  // namespace hint::attention
