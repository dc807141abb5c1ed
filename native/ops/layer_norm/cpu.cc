#include <algorithm>
#include <cmath>
#include <cstring>

#include "native/ops/dropout/mask.h"
#include "native/ops/elementwise.h"
#include "native/ops/layer_norm/layer_norm.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

namespace hint::layer_norm {
namespace {

// Sixteen lanes are one full-width vector; reductions keep them apart because floats may not be reassociated.
constexpr int kLanes = 16;

inline float sumLanes(const float* lanes) {
  float total = 0;
  for (int lane = 0; lane < kLanes; ++lane) total += lanes[lane];
  return total;
}

HINT_CLONES float sumOf(const float* s, int64_t d) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= d; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += s[i + lane];
  for (; i < d; ++i) lanes[i % kLanes] += s[i];
  return sumLanes(lanes);
}

/// Of the differences, in a second pass: the difference of two large sums would lose the variance of a row far from 0.
HINT_CLONES float sumOfSquaredDifferences(const float* s, float mean, int64_t d) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= d; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) {
      const float difference = s[i + lane] - mean;
      lanes[lane] += difference * difference;
    }
  for (; i < d; ++i) lanes[i % kLanes] += (s[i] - mean) * (s[i] - mean);
  return sumLanes(lanes);
}

HINT_CLONES void normalise(float* y, const float* s, const float* weight, const float* bias, float mean, float rstd,
                           int64_t d) {
  for (int64_t i = 0; i < d; ++i) y[i] = weight[i] * ((s[i] - mean) * rstd) + bias[i];
}

/// Sums of g = weight * gy and of g * normalised, which the gradient of s leaves out.
HINT_CLONES void sumsAlong(const float* gy, const float* weight, const float* s, float mean, float rstd, int64_t d,
                           float* sumG, float* sumGNormalised) {
  float plain[kLanes] = {}, along[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= d; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) {
      const float g = weight[i + lane] * gy[i + lane];
      plain[lane] += g;
      along[lane] += g * ((s[i + lane] - mean) * rstd);
    }
  for (; i < d; ++i) {
    const float g = weight[i] * gy[i];
    plain[i % kLanes] += g;
    along[i % kLanes] += g * ((s[i] - mean) * rstd);
  }
  *sumG = sumLanes(plain);
  *sumGNormalised = sumLanes(along);
}

HINT_CLONES void gradientOfSum(float* gs, const float* gy, const float* weight, const float* s, float mean, float rstd,
                               float meanG, float meanAlong, int64_t d) {
  for (int64_t i = 0; i < d; ++i) gs[i] = rstd * (weight[i] * gy[i] - meanG - (s[i] - mean) * rstd * meanAlong);
}

HINT_CLONES void addParameterGradients(float* gw, float* gb, const float* gy, const float* s, float mean, float rstd,
                                       int64_t d) {
  for (int64_t i = 0; i < d; ++i) {
    gw[i] += gy[i] * ((s[i] - mean) * rstd);
    gb[i] += gy[i];
  }
}

}  // namespace

void forward(Call& call) {
  const int64_t rows = call.dim("rows"), d = call.dim("d");
  const float epsilon = static_cast<float>(call.number("epsilon"));
  const float *x = call.f(kX), *delta = call.f(kDelta), *weight = call.f(kWeight), *bias = call.f(kBias);
  float *y = call.o(kY), *sum = call.o(kSum), *means = call.o(kMean), *rstd = call.o(kRstd);
  const Dropout dropout = delta ? call.dropout() : Dropout{};
  const IntList& offsets = call.list("seqOffsets");
  parallelFor(rows, rowGrain(d), [&](int64_t begin, int64_t end) {
    Scratch space(d);
    forEachMaskedRun(dropout, offsets, d, begin, end, space, [&](int64_t first, int64_t last, const float* mask) {
      for (int64_t row = first; row < last; ++row) {
        const float* s = x + row * d;
        if (delta) {
          if (mask)
            addMasked(sum + row * d, s, delta + row * d, mask, d);
          else
            addTo(sum + row * d, s, delta + row * d, d);
          s = sum + row * d;
        }
        const float mean = sumOf(s, d) / static_cast<float>(d);
        means[row] = mean;
        rstd[row] = 1.0f / std::sqrt(sumOfSquaredDifferences(s, mean, d) / static_cast<float>(d) + epsilon);
        normalise(y + row * d, s, weight, bias, mean, rstd[row], d);
      }
    });
  });
}

void backward(Call& call) {
  const int64_t rows = call.dim("rows"), d = call.dim("d");
  const float *s = call.has(kDelta) ? call.out(kSum).data<float>() : call.f(kX), *weight = call.f(kWeight);
  const float *means = call.out(kMean).data<float>(), *rstd = call.out(kRstd).data<float>();
  const float *gy = call.go(kY), *gsum = call.has(kDelta) ? call.go(kSum) : nullptr;
  float *gx = call.gi(kX), *gdelta = call.gi(kDelta), *gweight = call.gi(kWeight), *gbias = call.gi(kBias);
  const bool parameters = gweight || gbias;
  const Dropout dropout = gdelta ? call.dropout() : Dropout{};
  const IntList& offsets = call.list("seqOffsets");

  // Each part sums its own gradients of weight and bias; the parts are added in order, so that the result is
  // repeatable.
  const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(threadCount(), rows / rowGrain(d)));
  Scratch partial(parameters ? parts * 2 * d : 1);
  parallelFor(parts, 1, [&](int64_t firstPart, int64_t endPart) {
    Scratch space(2 * d);
    float *gs = space, *maskSpace = gs + d;
    for (int64_t part = firstPart; part < endPart; ++part) {
      float* gw = partial + part * 2 * d;
      if (parameters) std::memset(gw, 0, static_cast<size_t>(2 * d) * sizeof(float));
      const auto run = [&](int64_t first, int64_t last, const float* mask) {
        for (int64_t row = first; row < last; ++row) {
          const float mean = means[row], r = rstd[row];
          if (parameters && gy) addParameterGradients(gw, gw + d, gy + row * d, s + row * d, mean, r, d);
          if (!gx && !gdelta) continue;
          const float* gradient = gsum ? gsum + row * d : gs;
          if (gy) {
            float sumG, sumAlong;
            sumsAlong(gy + row * d, weight, s + row * d, mean, r, d, &sumG, &sumAlong);
            const auto count = static_cast<float>(d);
            gradientOfSum(gs, gy + row * d, weight, s + row * d, mean, r, sumG / count, sumAlong / count, d);
            if (gsum) addTo(gs, gs, gradient, d);
            gradient = gs;
          } else if (!gsum) {
            std::memset(gs, 0, static_cast<size_t>(d) * sizeof(float));
          }
          if (gx) store(gx + row * d, call.beta(kX), 1.0f, gradient, d);
          if (gdelta && mask) storeProduct(gdelta + row * d, call.beta(kDelta), gradient, mask, d);
          if (gdelta && !mask) store(gdelta + row * d, call.beta(kDelta), 1.0f, gradient, d);
        }
      };
      forEachMaskedRun(dropout, offsets, d, rows * part / parts, rows * (part + 1) / parts, maskSpace, run);
    }
  });
  for (int64_t part = 0; part < parts; ++part) {
    const float* sums = partial + part * 2 * d;
    if (gweight) store(gweight, part == 0 ? call.beta(kWeight) : 1.0f, 1.0f, sums, d);
    if (gbias) store(gbias, part == 0 ? call.beta(kBias) : 1.0f, 1.0f, sums + d, d);
  }
}

}  // namespace hint::layer_norm
