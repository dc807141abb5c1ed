#include "native/math/quantize.h"

#include <cmath>
#include <cstring>

#include "native/runtime/parallel.h"

namespace hint {
namespace {

constexpr int kZero = 128;
constexpr float kLimit = 127.0f;
/// Adding 1.5 * 2^23 rounds to the nearest integer, ties to even, without a conversion instruction.
constexpr float kRounder = 12582912.0f;

/// The larger of both; NaN when one of them is.
inline float larger(float magnitude, float known) {
  return magnitude > known || magnitude != magnitude ? magnitude : known;
}

HINT_CLONES float largestMagnitude(const float* x, int64_t count) {
  constexpr int64_t kLanes = 16;
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] = larger(std::fabs(x[i + lane]), lanes[lane]);
  float largest = 0.0f;
  for (const float lane : lanes) largest = larger(lane, largest);
  for (; i < count; ++i) largest = larger(std::fabs(x[i]), largest);
  return largest;
}

HINT_CLONES void roundRow(const float* x, int64_t count, float inverse, uint8_t* steps) {
  for (int64_t i = 0; i < count; ++i) {
    const float shifted = x[i] * inverse + kRounder;
    steps[i] = static_cast<uint8_t>(static_cast<int32_t>(shifted - kRounder) + kZero);
  }
}

HINT_CLONES void scaleRow(const int32_t* totals, int64_t n, float step, const float* scale, const float* columnSum,
                          float* y) {
  for (int64_t j = 0; j < n; ++j)
    y[j] = step * scale[j] * static_cast<float>(totals[j] - kZero * static_cast<int32_t>(columnSum[j]));
}

}  // namespace

float quantizeRow(const float* x, int64_t k, uint8_t* steps) {
  const float largest = largestMagnitude(x, k);
  // An infinity or NaN in the row must not give an ordinary number in the result.
  if (!std::isfinite(largest)) {
    std::memset(steps, kZero, static_cast<size_t>(k));
    return std::nanf("");
  }
  roundRow(x, k, largest > 0.0f ? kLimit / largest : 0.0f, steps);
  return largest / kLimit;
}

void quantizeColumns(const float* weight, int64_t k, int64_t n, bool transposed, int8_t* steps, float* scale,
                     float* columnSum) {
  const int64_t along = transposed ? 1 : n, across = transposed ? k : 1;
  parallelFor(n, 16, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      float largest = 0.0f;
      for (int64_t i = 0; i < k; ++i) largest = larger(std::fabs(weight[j * across + i * along]), largest);
      // A column with an infinity or NaN gets the step NaN, which makes every result of the column NaN.
      const bool finite = std::isfinite(largest);
      const float inverse = finite && largest > 0.0f ? kLimit / largest : 0.0f;
      int32_t sum = 0;
      for (int64_t i = 0; i < k; ++i) {
        const float value = finite ? weight[j * across + i * along] : 0.0f;
        const auto step = static_cast<int32_t>(value * inverse + kRounder - kRounder);
        steps[j * across + i * along] = static_cast<int8_t>(step);
        sum += step;
      }
      scale[j] = finite ? largest / kLimit : std::nanf("");
      columnSum[j] = static_cast<float>(sum);
    }
  });
}

void dequantizeRow(const int32_t* totals, int64_t n, float step, const float* scale, const float* columnSum,
                   const Epilogue& epilogue, float* y) {
  scaleRow(totals, n, step, scale, columnSum, y);
  finishRow(epilogue, n, y);
}

}  // namespace hint
