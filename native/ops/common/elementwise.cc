#include "native/ops/common/elementwise.h"

#include <cstring>

#include "native/runtime/parallel.h"

namespace hint {
namespace {

HINT_CLONES void scaleTo(float* y, float factor, const float* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = factor * x[i];
}
HINT_CLONES void accumulate(float* y, float beta, float factor, const float* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = beta * y[i] + factor * x[i];
}
HINT_CLONES void productTo(float* y, const float* a, const float* b, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = a[i] * b[i];
}
HINT_CLONES void accumulateProduct(float* y, float beta, const float* a, const float* b, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = beta * y[i] + a[i] * b[i];
}
HINT_CLONES void constantTo(float* y, float value, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = value;
}
HINT_CLONES void accumulateConstant(float* y, float beta, float value, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = beta * y[i] + value;
}

}  // namespace

void store(float* destination, float beta, float factor, const float* value, int64_t count) {
  if (count == 0) return;
  if (beta != 0.0f)
    accumulate(destination, beta, factor, value, count);
  else if (factor == 1.0f)
    std::memcpy(destination, value, static_cast<size_t>(count) * sizeof(float));
  else
    scaleTo(destination, factor, value, count);
}

void storeProduct(float* destination, float beta, const float* a, const float* b, int64_t count) {
  if (beta != 0.0f)
    accumulateProduct(destination, beta, a, b, count);
  else
    productTo(destination, a, b, count);
}

void storeConstant(float* destination, float beta, float value, int64_t count) {
  if (beta != 0.0f)
    accumulateConstant(destination, beta, value, count);
  else
    constantTo(destination, value, count);
}

HINT_CLONES void addTo(float* y, const float* a, const float* b, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}

HINT_CLONES void addMasked(float* y, const float* a, const float* b, const float* mask, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = a[i] + mask[i] * b[i];
}

void zero(float* destination, int64_t count) {
  parallelFor(count, kElementGrain, [&](int64_t begin, int64_t end) {
    std::memset(destination + begin, 0, static_cast<size_t>(end - begin) * sizeof(float));
  });
}

}  // namespace hint
