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
  // `x < 0` is false for NaN, so that NaN stays NaN.
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] < 0.0f ? 0.0f : x[i];
}
HINT_CLONES void geluErfRange(const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = geluErf(x[i]);
}
HINT_CLONES void siluRange(const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = silu(x[i]);
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

HINT_CLONES void geluErfGradientRange(const float* x, const float* gy, float* gx, int64_t count) {
  for (int64_t i = 0; i < count; ++i) gx[i] = gy[i] * geluErfDerivative(x[i]);
}
HINT_CLONES void siluGradientRange(const float* x, const float* gy, float* gx, int64_t count) {
  for (int64_t i = 0; i < count; ++i) gx[i] = gy[i] * siluDerivative(x[i]);
}

constexpr int64_t kGrain = 16384;

}  // namespace

Activation activationOf(const Call& call) {
  const std::string& word = call.word("activation");
  if (word == "none") return Activation::none;
  if (word == "gelu") return Activation::gelu;
  if (word == "tanh") return Activation::tanh;
  if (word == "relu") return Activation::relu;
  if (word == "gelu_erf") return Activation::geluErf;
  if (word == "silu") return Activation::silu;
  fail("INVALID_ARGUMENT", call.describe(), ": the activation \"", word,
       "\" is unknown; use none, gelu, gelu_erf, silu, tanh or relu.");
}

void activateRange(Activation activation, const float* x, float* y, int64_t count) {
  switch (activation) {
    case Activation::gelu:
      return geluRange(x, y, count);
    case Activation::tanh:
      return tanhRange(x, y, count);
    case Activation::relu:
      return reluRange(x, y, count);
    case Activation::geluErf:
      return geluErfRange(x, y, count);
    case Activation::silu:
      return siluRange(x, y, count);
    case Activation::none:
      if (x != y) std::memcpy(y, x, static_cast<size_t>(count) * sizeof(float));
  }
}

void activationGradientRange(Activation activation, const float* x, const float* gy, float* gx, int64_t count) {
  switch (activation) {
    case Activation::gelu:
      return geluGradientRange(x, gy, gx, count);
    case Activation::tanh:
      return tanhGradientRange(x, gy, gx, count);
    case Activation::relu:
      return reluGradientRange(x, gy, gx, count);
    case Activation::geluErf:
      return geluErfGradientRange(x, gy, gx, count);
    case Activation::silu:
      return siluGradientRange(x, gy, gx, count);
    case Activation::none:
      if (gx != gy) std::memcpy(gx, gy, static_cast<size_t>(count) * sizeof(float));
  }
}

void applyActivation(Activation activation, const float* x, float* y, int64_t count) {
  parallelFor(count, kGrain,
              [&](int64_t begin, int64_t end) { activateRange(activation, x + begin, y + begin, end - begin); });
}

void activationGradient(Activation activation, const float* x, const float* gy, float* gx, int64_t count) {
  parallelFor(count, kGrain, [&](int64_t begin, int64_t end) {
    activationGradientRange(activation, x + begin, gy + begin, gx + begin, end - begin);
  });
}

double activationReference(Activation activation, double x) {
  if (activation == Activation::gelu)
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  if (activation == Activation::geluErf) return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  if (activation == Activation::silu) return x / (1 + std::exp(-x));
  if (activation == Activation::relu) return x < 0 ? 0 : x;
  return activation == Activation::tanh ? std::tanh(x) : x;
}

}  // namespace hint
