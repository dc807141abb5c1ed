#include <cmath>

#include "native/ops/common/norm_rows.h"
#include "native/ops/rms_norm/rms_norm.h"

namespace hint::rms_norm {
namespace {

HINT_CLONES float sumOfSquares(const float* s, int64_t d) {
  return rowSum(d, [=](int64_t i) { return s[i] * s[i]; });
}

HINT_CLONES float sumOfProducts(const float* a, const float* b, const float* c, int64_t d) {
  return rowSum(d, [=](int64_t i) { return a[i] * b[i] * c[i]; });
}

HINT_CLONES void normalise(float* y, const float* s, const float* weight, float rstd, int64_t d) {
  for (int64_t i = 0; i < d; ++i) y[i] = weight[i] * (s[i] * rstd);
}

HINT_CLONES void gradientThrough(float* gs, const float* gy, const float* weight, const float* s, float rstd,
                                 float along, int64_t d) {
  for (int64_t i = 0; i < d; ++i) gs[i] = rstd * (weight[i] * gy[i]) - along * s[i];
}

HINT_CLONES void addGradientOfWeight(float* gw, const float* gy, const float* s, float rstd, int64_t d) {
  for (int64_t i = 0; i < d; ++i) gw[i] += gy[i] * (s[i] * rstd);
}

}  // namespace

void forward(Call& call) {
  const int64_t d = call.dim("d");
  const float epsilon = static_cast<float>(call.number("epsilon"));
  const float* weight = call.f(kWeight);
  float* rstd = call.o(kRstd);
  forEachNormRow(call, [&](int64_t row, const float* s, float* y) {
    rstd[row] = 1.0f / std::sqrt(sumOfSquares(s, d) / static_cast<float>(d) + epsilon);
    normalise(y, s, weight, rstd[row], d);
  });
}

void backward(Call& call) {
  const int64_t d = call.dim("d");
  const float *weight = call.f(kWeight), *rstd = call.out(kRstd).data<float>();
  float* gweight = call.gi(kWeight);
  normBackward(
      call, gweight ? d : 0,
      [&](int64_t row, const float* s, const float* gy, float* gw) { addGradientOfWeight(gw, gy, s, rstd[row], d); },
      [&](int64_t row, const float* s, const float* gy, float* gs) {
        const float r = rstd[row], dot = sumOfProducts(gy, weight, s, d);
        gradientThrough(gs, gy, weight, s, r, r * r * r * dot / static_cast<float>(d), d);
      },
      [&](const float* sums) { store(gweight, call.beta(kWeight), 1.0f, sums, d); });
}

}  // namespace hint::rms_norm
