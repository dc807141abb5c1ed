#include "native/math/quantize.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>
#include <vector>

#include "native/runtime/parallel.h"

namespace hint {
namespace {

constexpr int kZero = 128;
constexpr float kLimit = 127.0f;
/// Adding 1.5 * 2^23 rounds to the nearest integer, ties to even, without a conversion instruction.
constexpr float kRounder = 12582912.0f;
/// Rows of a matrix stay as they are while their largest value is within this factor of the median row's: an element of
/// x that has no counterpart in the matrix would otherwise lose up to three of its eight bits.
constexpr float kFarFromMedian = 8.0f;

/// The larger of both; NaN when one of them is.
inline float larger(float magnitude, float known) {
  return magnitude > known || magnitude != magnitude ? magnitude : known;
}

/// Of x times `factor`. Magnitudes are compared by their bits, in which NaN is above all numbers.
HINT_CLONES float largestMagnitude(const float* x, const float* factor, int64_t count) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i)
    largest = std::max(largest, std::bit_cast<uint32_t>(x[i] * factor[i]) & 0x7fffffffu);
  return std::bit_cast<float>(largest);
}

HINT_CLONES void roundRow(const float* x, const float* factor, int64_t count, float inverse, uint8_t* steps) {
  // The lowest bits of a number that was shifted by kRounder are those of the integer.
  for (int64_t i = 0; i < count; ++i)
    steps[i] = static_cast<uint8_t>(std::bit_cast<uint32_t>(x[i] * factor[i] * inverse + kRounder) + kZero);
}

HINT_CLONES void scaleRow(const int32_t* totals, int64_t n, float step, const float* scale, const float* columnSum,
                          float* y) {
  for (int64_t j = 0; j < n; ++j)
    y[j] = step * scale[j] * static_cast<float>(totals[j] - kZero * static_cast<int32_t>(columnSum[j]));
}

/// The largest magnitude of each of `count` lines of a matrix, whose values lie `step` apart and whose lines `apart`,
/// each value times its `weight` along the line (nullptr: one).
void largestOfLines(const float* values, int64_t count, int64_t apart, int64_t length, int64_t step,
                    const float* weight, float* largest) {
  parallelFor(count, std::max<int64_t>(64, 16384 / std::max<int64_t>(1, length)), [&](int64_t begin, int64_t end) {
    std::fill(largest + begin, largest + end, 0.0f);
    const auto add = [&](int64_t line, int64_t at) {
      const float magnitude = std::fabs(values[line * apart + at * step]);
      largest[line] = larger(weight ? magnitude * weight[at] : magnitude, largest[line]);
    };
    if (step == 1) {
      for (int64_t line = begin; line < end; ++line)
        for (int64_t at = 0; at < length; ++at) add(line, at);
    } else {
      for (int64_t at = 0; at < length; ++at)
        for (int64_t line = begin; line < end; ++line) add(line, at);
    }
  });
}

/// Replaces the largest magnitudes of rows by the factors that they are divided by.
void toFactors(int64_t k, float* rows) {
  std::vector<float> known;
  std::copy_if(rows, rows + k, std::back_inserter(known), [](float row) { return std::isfinite(row) && row > 0.0f; });
  if (known.empty()) return std::fill(rows, rows + k, 1.0f);
  const auto middle = known.begin() + static_cast<int64_t>(known.size() / 2);
  std::nth_element(known.begin(), middle, known.end());
  const float median = *middle;
  for (int64_t i = 0; i < k; ++i) {
    const float ratio = rows[i] / median;
    const bool isFar = std::isfinite(ratio) && (ratio > kFarFromMedian || ratio < 1.0f / kFarFromMedian);
    // Nothing multiplies what meets a row of zeros, so that it must not widen the step of the others.
    rows[i] = !isFar ? 1.0f : ratio == 0.0f ? 0.0f : std::exp2(std::round(std::log2(ratio)));
  }
}

}  // namespace

float quantizeRow(const float* x, const float* factor, int64_t k, uint8_t* steps) {
  const float largest = largestMagnitude(x, factor, k);
  // An infinity or NaN in the row must not give an ordinary number in the result.
  if (!std::isfinite(largest)) {
    std::memset(steps, kZero, static_cast<size_t>(k));
    return std::nanf("");
  }
  roundRow(x, factor, k, largest > 0.0f ? kLimit / largest : 0.0f, steps);
  return largest / kLimit;
}

void quantizeColumns(const float* weight, int64_t k, int64_t n, bool transposed, int8_t* steps, float* scale,
                     float* columnSum, float* rowFactor) {
  const int64_t along = transposed ? 1 : n, across = transposed ? k : 1;
  // A column's size must not decide which rows are large: the column's own step holds it.
  std::vector<float> ofColumn(static_cast<size_t>(n));
  largestOfLines(weight, n, across, k, along, nullptr, ofColumn.data());
  for (float& largest : ofColumn) largest = largest > 0.0f && std::isfinite(largest) ? 1.0f / largest : 0.0f;
  largestOfLines(weight, k, along, n, across, ofColumn.data(), rowFactor);
  toFactors(k, rowFactor);
  std::vector<float> toMedian(rowFactor, rowFactor + k);
  for (float& factor : toMedian) factor = factor == 0.0f ? 0.0f : 1.0f / factor;
  parallelFor(n, 16, [&](int64_t begin, int64_t end) {
    const auto count = static_cast<size_t>(end - begin);
    std::vector<float> largest(count, 0.0f), inverse(count);
    std::vector<int32_t> sums(count, 0);
    // Neighbours in memory come one after the other: columns of a row, or rows of a column.
    const auto visit = [&](const auto& body) {
      if (transposed) {
        for (int64_t j = begin; j < end; ++j)
          for (int64_t i = 0; i < k; ++i) body(j, i, j * k + i);
      } else {
        for (int64_t i = 0; i < k; ++i)
          for (int64_t j = begin; j < end; ++j) body(j, i, i * n + j);
      }
    };
    visit([&](int64_t j, int64_t i, int64_t at) {
      float& known = largest[static_cast<size_t>(j - begin)];
      known = larger(std::fabs(weight[at] * toMedian[static_cast<size_t>(i)]), known);
    });
    for (size_t j = 0; j < count; ++j) {
      // A column with an infinity or NaN gets the step NaN, which makes every result of the column NaN.
      const bool finite = std::isfinite(largest[j]);
      inverse[j] = finite && largest[j] > 0.0f ? kLimit / largest[j] : 0.0f;
      scale[begin + static_cast<int64_t>(j)] = finite ? largest[j] / kLimit : std::nanf("");
    }
    visit([&](int64_t j, int64_t i, int64_t at) {
      const float by = inverse[static_cast<size_t>(j - begin)];
      const float value = by > 0.0f ? weight[at] * toMedian[static_cast<size_t>(i)] : 0.0f;
      const auto step = static_cast<int32_t>(value * by + kRounder - kRounder);
      steps[at] = static_cast<int8_t>(step);
      sums[static_cast<size_t>(j - begin)] += step;
    });
    for (size_t j = 0; j < count; ++j) columnSum[begin + static_cast<int64_t>(j)] = static_cast<float>(sums[j]);
  });
}

void dequantizeRow(const int32_t* totals, int64_t n, float step, const float* scale, const float* columnSum,
                   const Epilogue& epilogue, float* y) {
  scaleRow(totals, n, step, scale, columnSum, y);
  finishRow(epilogue, n, y);
}

}  // namespace hint
