#include <algorithm>

#include "native/math/float_rows.h"
#include "native/math/vector_math.h"
#include "native/ops/common/activation.h"
#include "native/ops/common/dropout_mask.h"
#include "native/ops/common/elementwise.h"
#include "native/ops/gated_activation/gated_activation.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

namespace hint::gated_activation {
namespace {

// The fewest elements per thread: fewer than in plain loops, because each element costs a tanh.
constexpr int64_t kGrain = 8192;
// Length of buffers: of rows that are widened, and of gradients that are not wanted or that are added to old ones.
constexpr int64_t kTile = 1024;

HINT_CLONES void gate(const float* g, const float* l, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = gelu(g[i]) * l[i];
}

HINT_CLONES void gateMasked(const float* g, const float* l, const float* mask, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = gelu(g[i]) * l[i] * mask[i];
}

inline void gradientAt(float g, float l, float gy, float* gg, float* gl) {
  const float gate = geluGate(g);
  *gl = gy * (gate * g);
  *gg = gy * l * geluSlope(g, gate);
}

HINT_CLONES void gradient(const float* g, const float* l, const float* gy, float* __restrict gg, float* __restrict gl,
                          int64_t count) {
  for (int64_t i = 0; i < count; ++i) gradientAt(g[i], l[i], gy[i], gg + i, gl + i);
}

HINT_CLONES void gradientMasked(const float* g, const float* l, const float* gy, const float* mask,
                                float* __restrict gg, float* __restrict gl, int64_t count) {
  for (int64_t i = 0; i < count; ++i) gradientAt(g[i], l[i], gy[i] * mask[i], gg + i, gl + i);
}

HINT_CLONES void multiply(const float* a, const float* b, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = a[i] * b[i];
}

/// y = activation(g) * l * mask, mask is null when nothing drops. GELU, which most models use, is one pass; other
/// activations are computed into y first.
void gateRange(Activation activation, const float* g, const float* l, const float* mask, float* y, int64_t count) {
  if (activation == Activation::gelu) {
    if (mask)
      gateMasked(g, l, mask, y, count);
    else
      gate(g, l, y, count);
    return;
  }
  for (int64_t i = 0; i < count; i += kTile) {
    const int64_t length = std::min(kTile, count - i);
    activateRange(activation, g + i, y + i, length);
    multiply(y + i, l + i, y + i, length);
    if (mask) multiply(y + i, mask + i, y + i, length);
  }
}

/// The gradients of up to kTile elements; `space` has room for kTile floats.
void gradientRange(Activation activation, const float* g, const float* l, const float* gy, const float* mask, float* gg,
                   float* gl, float* space, int64_t count) {
  if (activation == Activation::gelu) {
    if (mask)
      gradientMasked(g, l, gy, mask, gg, gl, count);
    else
      gradient(g, l, gy, gg, gl, count);
    return;
  }
  if (mask) {
    multiply(gy, mask, space, count);
    gy = space;
  }
  activateRange(activation, g, gl, count);
  multiply(gl, gy, gl, count);
  multiply(gy, l, gg, count);
  activationGradientRange(activation, g, gg, gg, count);
}

}  // namespace

void forward(Call& call) {
  const Activation activation = activationOf(call);
  const int64_t rows = call.dim("rows"), d = call.dim("dFf");
  const FloatReader g(call.in(kGate)), l(call.in(kLinear));
  const FloatWriter y(call.out(kY));
  const auto range = [&](int64_t begin, int64_t end, const float* mask) {
    if (!y.isHalf())
      return gateRange(activation, g.read(begin, 0, nullptr), l.read(begin, 0, nullptr), mask, y.place(begin, nullptr),
                       end - begin);
    float ofGate[kTile], ofLinear[kTile], result[kTile];
    for (int64_t i = begin; i < end; i += kTile) {
      const int64_t count = std::min(kTile, end - i);
      gateRange(activation, g.read(i, count, ofGate), l.read(i, count, ofLinear), mask ? mask + (i - begin) : nullptr,
                result, count);
      y.write(i, count, result);
    }
  };
  const Dropout dropout = call.dropout();
  if (!dropout.active()) {
    parallelFor(rows * d, kGrain, [&](int64_t begin, int64_t end) { range(begin, end, nullptr); });
    return;
  }
  const IntList& offsets = call.list("seqOffsets");
  parallelFor(rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, d)), [&](int64_t begin, int64_t end) {
    Scratch space(d);
    forEachMaskedRun(dropout, offsets, d, begin, end, space, [&](int64_t first, int64_t last, const float* mask) {
      for (int64_t row = first; row < last; ++row) range(row * d, (row + 1) * d, mask);
    });
  });
}

void backward(Call& call) {
  const Activation activation = activationOf(call);
  const int64_t rows = call.dim("rows"), d = call.dim("dFf");
  const float *g = call.f(kGate), *l = call.f(kLinear), *gy = call.go(kY);
  float *gg = call.gi(kGate), *gl = call.gi(kLinear);
  if (!gy) {
    call.giZeroed(kGate);
    call.giZeroed(kLinear);
    return;
  }
  const float betaGate = call.beta(kGate), betaLinear = call.beta(kLinear);
  const bool directGate = gg && betaGate == 0.0f, directLinear = gl && betaLinear == 0.0f;
  const auto range = [&](int64_t begin, int64_t end, const float* mask, float* tile) {
    for (int64_t i = begin; i < end; i += kTile) {
      const int64_t count = std::min(kTile, end - i);
      float *toGate = directGate ? gg + i : tile, *toLinear = directLinear ? gl + i : tile + kTile;
      gradientRange(activation, g + i, l + i, gy + i, mask ? mask + (i - begin) : nullptr, toGate, toLinear,
                    tile + 2 * kTile, count);
      if (gg && !directGate) store(gg + i, betaGate, 1.0f, toGate, count);
      if (gl && !directLinear) store(gl + i, betaLinear, 1.0f, toLinear, count);
    }
  };
  const Dropout dropout = call.dropout();
  if (!dropout.active()) {
    parallelFor(rows * d, kGrain, [&](int64_t begin, int64_t end) {
      Scratch tile(3 * kTile);
      range(begin, end, nullptr, tile);
    });
    return;
  }
  const IntList& offsets = call.list("seqOffsets");
  parallelFor(rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, d)), [&](int64_t begin, int64_t end) {
    Scratch tile(3 * kTile), space(d);
    forEachMaskedRun(dropout, offsets, d, begin, end, space, [&](int64_t first, int64_t last, const float* mask) {
      for (int64_t row = first; row < last; ++row) range(row * d, (row + 1) * d, mask, tile);
    });
  });
}

}  // namespace hint::gated_activation
