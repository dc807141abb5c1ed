#include <cmath>

#include "native/ops/common/norm_rows.h"
#include "native/ops/layer_norm/layer_norm.h"

namespace hint::layer_norm {
namespace {

HINT_CLONES float sumOf(const float* s, int64_t d) {
  return rowSum(d, [=](int64_t i) { return s[i]; });
}

/// A second pass over differences to the mean: the difference of two large sums would lose the variance of a row far
/// from 0.
HINT_CLONES float sumOfSquaredDifferences(const float* s, float mean, int64_t d) {
  return rowSum(d, [=](int64_t i) { return (s[i] - mean) * (s[i] - mean); });
}

HINT_CLONES float sumOfProducts(const float* a, const float* b, int64_t d) {
  return rowSum(d, [=](int64_t i) { return a[i] * b[i]; });
}

/// The sum of a * b * (s - mean) * rstd.
HINT_CLONES float sumAlong(const float* a, const float* b, const float* s, float mean, float rstd, int64_t d) {
  return rowSum(d, [=](int64_t i) { return a[i] * b[i] * ((s[i] - mean) * rstd); });
}

HINT_CLONES void normalise(float* y, const float* s, const float* weight, const float* bias, float mean, float rstd,
                           int64_t d) {
  for (int64_t i = 0; i < d; ++i) y[i] = weight[i] * ((s[i] - mean) * rstd) + bias[i];
}

HINT_CLONES void gradientThrough(float* gs, const float* gy, const float* weight, const float* s, float mean,
                                 float rstd, float meanG, float meanAlong, int64_t d) {
  for (int64_t i = 0; i < d; ++i) gs[i] = rstd * (weight[i] * gy[i] - meanG - (s[i] - mean) * rstd * meanAlong);
}

HINT_CLONES void addGradientOfWeight(float* gw, const float* gy, const float* s, float mean, float rstd, int64_t d) {
  for (int64_t i = 0; i < d; ++i) gw[i] += gy[i] * ((s[i] - mean) * rstd);
}

}  // namespace

void forward(Call& call) {
  const int64_t d = call.dim("d");
  const float epsilon = static_cast<float>(call.number("epsilon"));
  const float *weight = call.f(kWeight), *bias = call.f(kBias);
  float *means = call.o(kMean), *rstd = call.o(kRstd);
  forEachNormRow(call, [&](int64_t row, const float* s, float* y) {
    const float mean = sumOf(s, d) / static_cast<float>(d);
    means[row] = mean;
    rstd[row] = 1.0f / std::sqrt(sumOfSquaredDifferences(s, mean, d) / static_cast<float>(d) + epsilon);
    normalise(y, s, weight, bias, mean, rstd[row], d);
  });
}

void backward(Call& call) {
  const int64_t d = call.dim("d");
  const float *weight = call.f(kWeight), *means = call.out(kMean).data<float>(), *rstd = call.out(kRstd).data<float>();
  float *gweight = call.gi(kWeight), *gbias = call.gi(kBias);
  normBackward(
      call, gweight || gbias ? 2 * d : 0,
      [&](int64_t row, const float* s, const float* gy, float* sums) {
        addGradientOfWeight(sums, gy, s, means[row], rstd[row], d);
        addTo(sums + d, sums + d, gy, d);
      },
      [&](int64_t row, const float* s, const float* gy, float* gs) {
        const float mean = means[row], r = rstd[row], count = static_cast<float>(d);
        gradientThrough(gs, gy, weight, s, mean, r, sumOfProducts(weight, gy, d) / count,
                        sumAlong(weight, gy, s, mean, r, d) / count, d);
      },
      [&](const float* sums) {
        if (gweight) store(gweight, call.beta(kWeight), 1.0f, sums, d);
        if (gbias) store(gbias, call.beta(kBias), 1.0f, sums + d, d);
      });
}

}  // namespace hint::layer_norm
