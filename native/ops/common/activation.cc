#include "native/ops/common/activation.h"

#include <cmath>
#include <cstring>

#include "native/core/error.h"
#include "native/math/vector_math.h"
#include "native/runtime/parallel.h"

namespace hint {
namespace {

HINT_CLONES void geluRange(const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = gelu(x[i]);
}
HINT_CLONES void tanhRange(const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = fastTanh(x[i]);
}
HINT_CLONES void reluRange(const float* x, float* y, int64_t count) {
  // NaN is not above zero and has to stay visible, hence the comparison this way round.
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] < 0.0f ? 0.0f : x[i];
}
HINT_CLONES void geluGradientRange(const float* x, const float* gy, float* gx, int64_t count) {
  for (int64_t i = 0; i < count; ++i) gx[i] = gy[i] * geluDerivative(x[i]);
}
HINT_CLONES void tanhGradientRange(const float* x, const float* gy, float* gx, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float t = fastTanh(x[i]);
    gx[i] = gy[i] * (1.0f - t * t);
  }
}
HINT_CLONES void reluGradientRange(const float* x, const float* gy, float* gx, int64_t count) {
  for (int64_t i = 0; i < count; ++i) gx[i] = x[i] > 0.0f ? gy[i] : 0.0f;
}

constexpr int64_t kGrain = 16384;

}  // namespace

Activation activationOf(const Call& call) {
  const std::string& word = call.word("activation");
  if (word == "none") return Activation::none;
  if (word == "gelu") return Activation::gelu;
  if (word == "tanh") return Activation::tanh;
  if (word == "relu") return Activation::relu;
  fail("INVALID_ARGUMENT", call.describe(), ": the activation \"", word,
       "\" is unknown; use none, gelu, tanh or relu.");
}

void applyActivation(Activation activation, const float* x, float* y, int64_t count) {
  parallelFor(count, kGrain, [&](int64_t begin, int64_t end) {
    if (activation == Activation::gelu)
      geluRange(x + begin, y + begin, end - begin);
    else if (activation == Activation::tanh)
      tanhRange(x + begin, y + begin, end - begin);
    else if (activation == Activation::relu)
      reluRange(x + begin, y + begin, end - begin);
    else if (x != y)
      std::memcpy(y + begin, x + begin, static_cast<size_t>(end - begin) * sizeof(float));
  });
}

void activationGradient(Activation activation, const float* x, const float* gy, float* gx, int64_t count) {
  parallelFor(count, kGrain, [&](int64_t begin, int64_t end) {
    if (activation == Activation::gelu)
      geluGradientRange(x + begin, gy + begin, gx + begin, end - begin);
    else if (activation == Activation::tanh)
      tanhGradientRange(x + begin, gy + begin, gx + begin, end - begin);
    else if (activation == Activation::relu)
      reluGradientRange(x + begin, gy + begin, gx + begin, end - begin);
    else if (gx != gy)
      std::memcpy(gx + begin, gy + begin, static_cast<size_t>(end - begin) * sizeof(float));
  });
}

double activationReference(Activation activation, double x) {
  if (activation == Activation::gelu)
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  if (activation == Activation::relu) return x < 0 ? 0 : x;
  return activation == Activation::tanh ? std::tanh(x) : x;
}

}  // namespace hint
