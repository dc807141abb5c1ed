#include <algorithm>

#include "native/core/error.h"
#include "native/math/gemm.h"
#include "native/ops/common/activation.h"
#include "native/ops/common/long_sums.h"
#include "native/ops/common/row_groups.h"
#include "native/ops/grouped_linear/grouped_linear.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

namespace hint::grouped_linear {
namespace {

HINT_CLONES void addInto(float* y, const float* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] += x[i];
}

HINT_CLONES void scaleAdd(float* y, float beta, const float* x, int64_t count) {
  if (beta == 0.0f)
    for (int64_t i = 0; i < count; ++i) y[i] = x[i];
  else
    for (int64_t i = 0; i < count; ++i) y[i] = beta * y[i] + x[i];
}

struct Shape : RowGroups {
  int64_t dIn, dOut;

  explicit Shape(const Call& call) : RowGroups(call), dIn(call.dim("dIn")), dOut(call.dim("dOut")) {}
};

/// Runs groups in parallel when they are many and of similar size, otherwise one after the other with all threads in
/// each.
template <typename Body>
void forEachGroup(const Shape& shape, const Body& body) {
  if (shape.groups > 1 && shape.largest() * threadCount() <= shape.rows)
    parallelItems(shape.groups, body);
  else
    for (int64_t group = 0; group < shape.groups; ++group) body(group);
}

/// Zeroes the parts of a gradient [groups, slots, size] that no row of this call contributes to, when beta is 0.
void zeroOtherSlots(const Shape& shape, float* gradient, float beta, int64_t size) {
  if (beta != 0.0f || shape.slots == 1) return;
  parallelFor(shape.groups * shape.slots, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block)
      if (block % shape.slots != shape.slot) std::fill_n(gradient + block * size, size, 0.0f);
  });
}

}  // namespace

void forward(Call& call) {
  const Shape shape(call);
  const int64_t dIn = shape.dIn, dOut = shape.dOut;
  const auto alpha = static_cast<float>(call.number("alpha"));
  const Activation activation = activationOf(call);
  const float *bias = call.f(kBias), *residual = call.f(kResidual);
  float* y = call.o(kY);
  float* product = call.hasOut(kPreActivation) ? call.o(kPreActivation) : y;
  forEachGroup(shape, [&](int64_t group) {
    const int64_t first = shape.begin(group), rows = shape.end(group) - first, block = shape.block(group);
    gemm(false, false, rows, dOut, dIn, alpha, call.f(kX) + first * dIn, dIn, call.f(kWeight) + block * dIn * dOut,
         dOut, 0.0f, product + first * dOut, dOut);
    if (!bias && !residual && activation == Activation::none) return;
    parallelFor(rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, dOut)), [&](int64_t begin, int64_t end) {
      for (int64_t row = first + begin; row < first + end; ++row) {
        if (bias) addInto(product + row * dOut, bias + block * dOut, dOut);
        if (activation != Activation::none) applyActivation(activation, product + row * dOut, y + row * dOut, dOut);
        if (residual) addInto(y + row * dOut, residual + row * dOut, dOut);
      }
    });
  });
}

void backward(Call& call) {
  const Shape shape(call);
  const int64_t dIn = shape.dIn, dOut = shape.dOut;
  const auto alpha = static_cast<float>(call.number("alpha"));
  const Activation activation = activationOf(call);
  if (activation != Activation::none && !call.hasOut(kPreActivation))
    fail("INVALID_ARGUMENT", call.describe(), ": a call with training 0 keeps nothing for a backward pass.");
  const float* gradient = call.go(kY);
  if (float* gr = call.gi(kResidual))
    parallelFor(shape.rows * dOut, 16384, [&](int64_t begin, int64_t end) {
      scaleAdd(gr + begin, call.beta(kResidual), gradient + begin, end - begin);
    });
  float *gx = call.gi(kX), *gw = call.gi(kWeight), *gb = call.gi(kBias);
  if (!gx && !gw && !gb) return;
  Scratch scratch(activation == Activation::none ? 1 : shape.rows * dOut);
  if (activation != Activation::none) {
    activationGradient(activation, call.out(kPreActivation).data<float>(), gradient, scratch, shape.rows * dOut);
    gradient = scratch;
  }
  if (gw) zeroOtherSlots(shape, gw, call.beta(kWeight), dIn * dOut);
  if (gb) zeroOtherSlots(shape, gb, call.beta(kBias), dOut);
  forEachGroup(shape, [&](int64_t group) {
    const int64_t first = shape.begin(group), rows = shape.end(group) - first, block = shape.block(group);
    const float* g = gradient + first * dOut;
    if (gx)
      gemm(false, true, rows, dIn, dOut, alpha, g, dOut, call.f(kWeight) + block * dIn * dOut, dOut, call.beta(kX),
           gx + first * dIn, dIn);
    if (gw)
      gemm(true, false, dIn, dOut, rows, alpha, call.f(kX) + first * dIn, dIn, g, dOut, call.beta(kWeight),
           gw + block * dIn * dOut, dOut);
    if (gb)
      parallelFor(dOut, 64, [&](int64_t begin, int64_t end) {
        LongSums sums(end - begin);
        for (int64_t row = 0; row < rows; ++row) sums.addRow(g + row * dOut + begin);
        scaleAdd(gb + block * dOut + begin, call.beta(kBias), sums.rounded(), end - begin);
      });
  });
}

}  // namespace hint::grouped_linear
