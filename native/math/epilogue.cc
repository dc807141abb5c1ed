#include "native/math/epilogue.h"

#include <algorithm>

#include "native/math/vector_math.h"
#include "native/runtime/parallel.h"

namespace hint {
namespace {

HINT_CLONES void addRow(float* y, const float* x, int64_t n) {
  for (int64_t j = 0; j < n; ++j) y[j] += x[j];
}

HINT_CLONES void geluRow(float* y, int64_t n) {
  for (int64_t j = 0; j < n; ++j) y[j] = gelu(y[j]);
}

HINT_CLONES void tanhRow(float* y, int64_t n) {
  for (int64_t j = 0; j < n; ++j) y[j] = fastTanh(y[j]);
}

HINT_CLONES void reluRow(float* y, int64_t n) {
  // Written so that NaN stays NaN, which std::max would not guarantee.
  for (int64_t j = 0; j < n; ++j) y[j] = y[j] < 0.0f ? 0.0f : y[j];
}

HINT_CLONES void geluErfRow(float* y, int64_t n) {
  for (int64_t j = 0; j < n; ++j) y[j] = geluErf(y[j]);
}

HINT_CLONES void siluRow(float* y, int64_t n) {
  for (int64_t j = 0; j < n; ++j) y[j] = silu(y[j]);
}

void addResidual(float* y, const FloatReader& residual, int64_t count) {
  if (!residual.isHalf()) return addRow(y, residual.read(0, count, nullptr), count);
  constexpr int64_t kAtOnce = 256;
  float room[kAtOnce];
  for (int64_t i = 0; i < count; i += kAtOnce) {
    const int64_t some = std::min(kAtOnce, count - i);
    addRow(y + i, residual.read(i, some, room), some);
  }
}

}  // namespace

void finishRow(const Epilogue& epilogue, int64_t count, float* y) {
  if (epilogue.bias) addRow(y, epilogue.bias, count);
  if (epilogue.activation == Activation::gelu) geluRow(y, count);
  if (epilogue.activation == Activation::tanh) tanhRow(y, count);
  if (epilogue.activation == Activation::relu) reluRow(y, count);
  if (epilogue.activation == Activation::geluErf) geluErfRow(y, count);
  if (epilogue.activation == Activation::silu) siluRow(y, count);
  if (epilogue.residual) addResidual(y, epilogue.residual, count);
}

}  // namespace hint
