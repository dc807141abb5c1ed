#pragma once

#include <cstdint>

/// The softmax of rows of scores and its gradient, and attention of single queries.
namespace hint::attention {

constexpr int kMaxSegments = 3;  ///< prefix, shared, own
constexpr int kOwn = kMaxSegments - 1;
constexpr int64_t kMostRows = 48;  ///< of a block of scores

/// Rows of scores of consecutive queries of one head, a group of columns for each segment of keys. Only the last
/// segment, the sequence's own keys, has a bias and a causal mask.
struct ScoreBlock {
  float* scores;
  int64_t rowStride, rows;
  int64_t column[kMaxSegments];  ///< first column of each segment
  int64_t keys[kMaxSegments];    ///< keys of each segment; columns up to the next multiple of `multiple` are padding
  int64_t firstQuery;            ///< index of row 0 counted from the first own key; negative when that key is later
  bool causal;
  const float* bias;      ///< bias[relative] for relative = key - query, may be negative; null for none
  const float* mask;      ///< dropout factor by column; null for none
  int64_t multiple = 16;  ///< that the columns of a segment are filled up to

  /// Own keys that a row sees.
  int64_t visible(int64_t row) const {
    const int64_t past = firstQuery + row + 1;
    return !causal || past > keys[kOwn] ? keys[kOwn] : past < 0 ? 0 : past;
  }
  /// Keys of a segment that any row sees.
  int64_t used(int segment) const { return segment == kOwn ? visible(rows - 1) : keys[segment]; }
};

/// Turns scores into exp(score - maximum) * mask, 0 for masked keys, and writes each row's 1 / sum and logSumExp.
/// Changes padding columns.
void softmaxRows(const ScoreBlock& block, float* inverseSum, float* logSumExp);

/// From scores and dP (same layout): scores become p * mask, dP becomes the gradient of the scores, p * (mask * dP -
/// delta[row]) with p = exp(score - logSumExp[row]); both 0 for masked keys. delta is the mean of dP weighted by p, up
/// to rounding. `allKeys` says that the block has all keys of its queries; the rounding of delta is then corrected.
void softmaxGradientRows(const ScoreBlock& block, float* dP, const float* logSumExp, const float* delta, bool allKeys);

/// relativeGradient[key - query] += gradient for own visible keys.
void addRelativeGradient(const ScoreBlock& block, const float* gradient, float* relativeGradient);

/// out[row] = sum_d a[row, d] * b[row, d].
void rowDots(const float* a, const float* b, int64_t rows, int64_t stride, int64_t dim, float* out);

/// Keys and values of one segment in memory, f32 or bf16: the heads of a row follow one another.
template <typename Value>
struct KeyRows {
  const Value *k, *v;
  int64_t count;
};

constexpr int kMaxQuerySegments = 4;  ///< the segments of a decoded row: prefix, shared, context, cache

/// Attention of one query for heads [firstHead, endHead): reads keys and values once, in place, row by row.
template <typename Value>
struct SingleQuery {
  const float* q;
  float* o;
  float* logSumExp;  ///< [heads], may be null
  int segments;
  KeyRows<Value> rows[kMaxQuerySegments];
  int64_t width, headDim, firstHead, endHead;
  const float* bias;  ///< bias[head * biasStride + key] over the keys of the last segment; null for none
  int64_t biasStride;
  const float* mask;  ///< [endHead - firstHead, keys of all segments]; null for none
  float* scratch;     ///< (endHead - firstHead) * keys of all segments
};
template <typename Value>
void attendSingle(const SingleQuery<Value>& query);

extern template void attendSingle(const SingleQuery<float>& query);
extern template void attendSingle(const SingleQuery<uint16_t>& query);

}  // namespace hint::attention
