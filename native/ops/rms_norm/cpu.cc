#include <algorithm>
#include <cmath>
#include <cstring>

#include "native/ops/dropout/mask.h"
#include "native/ops/elementwise.h"
#include "native/ops/rms_norm/rms_norm.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

namespace hint::rms_norm {
namespace {

// Sixteen lanes are one full-width vector; reductions keep them apart because floats may not be reassociated.
constexpr int kLanes = 16;

inline float sumLanes(const float* lanes) {
  float total = 0;
  for (int lane = 0; lane < kLanes; ++lane) total += lanes[lane];
  return total;
}

HINT_CLONES float sumOfSquares(const float* s, int64_t d) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= d; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += s[i + lane] * s[i + lane];
  for (; i < d; ++i) lanes[i % kLanes] += s[i] * s[i];
  return sumLanes(lanes);
}

HINT_CLONES float sumOfProducts(const float* a, const float* b, const float* c, int64_t d) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= d; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane] * c[i + lane];
  for (; i < d; ++i) lanes[i % kLanes] += a[i] * b[i] * c[i];
  return sumLanes(lanes);
}

HINT_CLONES void normalise(float* y, const float* s, const float* weight, float rstd, int64_t d) {
  for (int64_t i = 0; i < d; ++i) y[i] = weight[i] * (s[i] * rstd);
}

HINT_CLONES void gradientOfSum(float* gs, const float* gy, const float* weight, const float* s, float rstd, float along,
                               int64_t d) {
  for (int64_t i = 0; i < d; ++i) gs[i] = rstd * (weight[i] * gy[i]) - along * s[i];
}

HINT_CLONES void addGradientOfWeight(float* gw, const float* gy, const float* s, float rstd, int64_t d) {
  for (int64_t i = 0; i < d; ++i) gw[i] += gy[i] * (s[i] * rstd);
}

}  // namespace

void forward(Call& call) {
  const int64_t rows = call.dim("rows"), d = call.dim("d");
  const float epsilon = static_cast<float>(call.number("epsilon"));
  const float *x = call.f(kX), *delta = call.f(kDelta), *weight = call.f(kWeight);
  float *y = call.o(kY), *sum = call.o(kSum), *rstd = call.o(kRstd);
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
        rstd[row] = 1.0f / std::sqrt(sumOfSquares(s, d) / static_cast<float>(d) + epsilon);
        normalise(y + row * d, s, weight, rstd[row], d);
      }
    });
  });
}

void backward(Call& call) {
  const int64_t rows = call.dim("rows"), d = call.dim("d");
  const float *s = call.has(kDelta) ? call.out(kSum).data<float>() : call.f(kX), *weight = call.f(kWeight);
  const float* rstd = call.out(kRstd).data<float>();
  const float *gy = call.go(kY), *gsum = call.has(kDelta) ? call.go(kSum) : nullptr;
  float *gx = call.gi(kX), *gdelta = call.gi(kDelta), *gweight = call.gi(kWeight);
  const Dropout dropout = gdelta ? call.dropout() : Dropout{};
  const IntList& offsets = call.list("seqOffsets");

  // Each part sums its own gradient of the weight; the parts are added in order, so that the result is repeatable.
  const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(threadCount(), rows / rowGrain(d)));
  Scratch partial(gweight ? parts * d : 1);
  parallelFor(parts, 1, [&](int64_t firstPart, int64_t endPart) {
    Scratch space(2 * d);
    float *gs = space, *maskSpace = gs + d;
    for (int64_t part = firstPart; part < endPart; ++part) {
      float* gw = gweight ? partial + part * d : nullptr;
      if (gw) std::memset(gw, 0, static_cast<size_t>(d) * sizeof(float));
      const auto run = [&](int64_t first, int64_t last, const float* mask) {
        for (int64_t row = first; row < last; ++row) {
          if (gw && gy) addGradientOfWeight(gw, gy + row * d, s + row * d, rstd[row], d);
          if (!gx && !gdelta) continue;
          const float* gradient = gsum ? gsum + row * d : gs;
          if (gy) {
            const float r = rstd[row];
            const float dot = sumOfProducts(gy + row * d, weight, s + row * d, d);
            gradientOfSum(gs, gy + row * d, weight, s + row * d, r, r * r * r * dot / static_cast<float>(d), d);
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
  if (!gweight) return;
  store(gweight, call.beta(kWeight), 1.0f, partial, d);
  for (int64_t part = 1; part < parts; ++part) store(gweight, 1.0f, 1.0f, partial + part * d, d);
}

}  // namespace hint::rms_norm
