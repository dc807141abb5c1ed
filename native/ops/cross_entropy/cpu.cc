#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "native/core/error.h"
#include "native/math/bf16.h"
#include "native/math/vector_math.h"
#include "native/ops/common/lanes.h"
#include "native/ops/common/products.h"
#include "native/ops/cross_entropy/cross_entropy.h"
#include "native/runtime/cpu/widened_call.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

namespace hint::cross_entropy {
namespace {

/// Size of a tile of logits: enough rows to reuse a tile of the weight, and 4 MiB together, which the caches hold.
constexpr int64_t kTileRows = 512, kTileColumns = 2048;

/// Adds the logits of a tile to the running maximum and the running sum of exp(logit - maximum) of one row.
HINT_CLONES void accumulate(const float* logits, int64_t count, float& maximum, double& sum) {
  float tileMaximum = maximum;
#pragma omp simd reduction(max : tileMaximum)
  for (int64_t j = 0; j < count; ++j) tileMaximum = logits[j] > tileMaximum ? logits[j] : tileMaximum;
  const float tileSum = sumInLanes<32, float>(count, [=](int64_t j) { return fastExp(logits[j] - tileMaximum); });
  sum = sum * static_cast<double>(fastExp(maximum - tileMaximum)) + static_cast<double>(tileSum);
  maximum = tileMaximum;
}

HINT_CLONES void softmaxGradient(float* logits, int64_t count, float logSumExp, float factor) {
  for (int64_t j = 0; j < count; ++j) logits[j] = factor * fastExp(logits[j] - logSumExp);
}

void checkTargets(const Call& call) {
  const int32_t* targets = call.ids(kTargets);
  const int64_t vocab = call.dim("vocab");
  for (int64_t row = 0; row < call.dim("rows"); ++row)
    if (targets[row] < 0 || targets[row] >= vocab)
      fail("INVALID_TOKEN", call.describe(), ": target ", targets[row], " at row ", row, " is not below the ", vocab,
           " rows of weight.");
}

int64_t rowsOfChunk(const Call& call) {
  const int64_t asked = call.integer("chunkRows");
  return asked > 0 ? asked : kTileRows;
}

}  // namespace

void forward(Call& call) {
  if (!multipliesAsStored(call)) return runWidened(call, forward);
  checkTargets(call);
  const int64_t rows = call.dim("rows"), d = call.dim("d"), vocab = call.dim("vocab");
  const int64_t chunk = std::min(rows, rowsOfChunk(call)), tile = std::min(vocab, kTileColumns);
  const auto zLoss = static_cast<float>(call.number("zLoss"));
  const int32_t* targets = call.ids(kTargets);
  float *loss = call.o(kLoss), *zTerm = call.o(kZTerm), *logSumExp = call.o(kLogSumExp);
  const Factor hidden(call.in(kHidden)), weight(call.in(kWeight));
  Scratch logits(chunk * tile), maxima(chunk);
  std::vector<double> sums(static_cast<size_t>(chunk));
  for (int64_t row = 0; row < rows; row += chunk) {
    const int64_t height = std::min(chunk, rows - row);
    std::fill(maxima.data(), maxima + height, -std::numeric_limits<float>::infinity());
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int64_t column = 0; column < vocab; column += tile) {
      const int64_t width = std::min(tile, vocab - column);
      gemm(false, true, height, width, d, 1.0f, hidden.from(row * d), d, weight.from(column * d), d, 0.0f, logits,
           width);
      parallelFor(height, 8, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          accumulate(logits + i * width, width, maxima[i], sums[static_cast<size_t>(i)]);
          const int64_t target = targets[row + i] - column;
          if (target >= 0 && target < width) loss[row + i] = -logits[i * width + target];
        }
      });
    }
    for (int64_t i = 0; i < height; ++i) {
      const auto logZ = static_cast<float>(static_cast<double>(maxima[i]) + std::log(sums[static_cast<size_t>(i)]));
      logSumExp[row + i] = logZ;
      loss[row + i] += logZ;
      zTerm[row + i] = zLoss * logZ * logZ;
    }
  }
}

void backward(Call& call) {
  if (!multipliesAsStored(call)) return runWidened(call, backward);
  const int64_t rows = call.dim("rows"), d = call.dim("d"), vocab = call.dim("vocab");
  const int64_t chunk = std::min(rows, rowsOfChunk(call)), tile = std::min(vocab, kTileColumns);
  const auto zLoss = static_cast<float>(call.number("zLoss"));
  const int32_t* targets = call.ids(kTargets);
  const float *gLoss = call.go(kLoss), *gZ = call.go(kZTerm);
  const float* logSumExp = call.out(kLogSumExp).data<float>();
  const Factor hidden(call.in(kHidden)), weight(call.in(kWeight));
  const Tensor &gHidden = call.gradInputs[kHidden], &gWeight = call.gradInputs[kWeight];
  if (rows == 0) {
    if (gWeight) productInto(gWeight, 0, true, false, vocab, d, 0, 1.0f, hidden, vocab, hidden, d, call.beta(kWeight));
    return;
  }
  // Sums over tiles are kept in f32 until they are whole.
  const bool isRounded = hidden.dtype == DType::bf16;
  const Scratch logits(chunk * tile), halves(isRounded ? (chunk * tile + 1) / 2 : 1), sums(gHidden ? chunk * d : 1);
  auto* rounded = reinterpret_cast<uint16_t*>(halves.data());
  const Factor gradient = isRounded ? Factor(static_cast<const uint16_t*>(rounded)) : Factor(logits.data());
  for (int64_t row = 0; row < rows; row += chunk) {
    const int64_t height = std::min(chunk, rows - row);
    for (int64_t column = 0; column < vocab; column += tile) {
      const int64_t width = std::min(tile, vocab - column);
      gemm(false, true, height, width, d, 1.0f, hidden.from(row * d), d, weight.from(column * d), d, 0.0f, logits,
           width);
      parallelFor(height, 8, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const float g = gLoss ? gLoss[row + i] : 0.0f, logZ = logSumExp[row + i];
          softmaxGradient(logits + i * width, width, logZ, g + (gZ ? gZ[row + i] * 2.0f * zLoss * logZ : 0.0f));
          const int64_t target = targets[row + i] - column;
          if (target >= 0 && target < width) logits[i * width + target] -= g;
          if (isRounded) roundToBf16(logits + i * width, rounded + i * width, width);
        }
      });
      if (gHidden)
        gemm(false, false, height, d, width, 1.0f, gradient, width, weight.from(column * d), d,
             column == 0 ? 0.0f : 1.0f, sums, d);
      if (gWeight)
        productInto(gWeight, column * d, true, false, width, d, height, 1.0f, gradient, width, hidden.from(row * d), d,
                    row == 0 ? call.beta(kWeight) : 1.0f);
    }
    if (gHidden) storeValues(gHidden, row * d, call.beta(kHidden), sums, height * d);
  }
}

}  // namespace hint::cross_entropy
