#include "native/ops/common/activation.h"
#include "native/ops/common/row_groups.h"
#include "native/ops/grouped_linear/grouped_linear.h"
#include "native/runtime/cuda/activation.cuh"
#include "native/runtime/cuda/elements.cuh"
#include "native/runtime/cuda/gemm.h"

namespace hint {
namespace grouped_linear {
namespace {

using namespace cuda;

/// Sizes of a call, and its offsets on the device (null for one group of all rows).
struct Groups {
  int64_t rows, groups, slots, slot, largest, dIn, dOut, tilesOf64 = 0, tilesOf128 = 0;
  const int32_t* offsets = nullptr;

  explicit Groups(const Call& call) : Groups(call, RowGroups(call)) {}
  Groups(const Call& call, const RowGroups& of)
      : rows(of.rows),
        groups(of.groups),
        slots(of.slots),
        slot(of.slot),
        largest(of.largest()),
        dIn(call.dim("dIn")),
        dOut(call.dim("dOut")) {
    if (!of.offsets->empty()) offsets = Context::current().table(*of.offsets);
    for (int64_t group = 0; group < groups; ++group) {
      const int64_t own = of.end(group) - of.begin(group);
      tilesOf64 += (own + 63) / 64;
      tilesOf128 += (own + 127) / 128;
    }
  }
};

/// A product over all groups, with the weights of this call's slot on one side.
GroupedGemm productOf(const Call& call, const Groups& g, GroupedGemm::Ragged ragged) {
  GroupedGemm product;
  product.ragged = ragged;
  product.groups = g.groups;
  product.rowOffsets = g.offsets;
  product.alpha = static_cast<float>(call.number("alpha"));
  if (ragged == GroupedGemm::Ragged::rows) {
    product.tilesOf64 = g.tilesOf64;
    product.tilesOf128 = g.tilesOf128;
  }
  return product;
}

const void* slotOf(const Tensor& weight, const Groups& g, int64_t size) {
  return static_cast<const unsigned char*>(addressOf(weight)) + g.slot * size * sizeOf(weight.dtype);
}

void forwardCuda(Call& call) {
  const Groups g(call);
  const Tensor &x = call.in(kX), &weight = call.in(kWeight);
  GroupedGemm p = productOf(call, g, GroupedGemm::Ragged::rows);
  p.m = g.largest;
  p.n = g.dOut;
  p.k = g.dIn;
  p.a = {addressOf(x), x.dtype, g.dIn, false};
  p.b = {slotOf(weight, g, g.dIn * g.dOut), weight.dtype, g.dOut, false};
  p.bStep = g.slots * g.dIn * g.dOut;
  p.c = addressOf(call.out(kY));
  p.cType = call.out(kY).dtype;
  p.cStride = g.dOut;
  p.activation = activationOf(call);
  if (call.has(kBias)) p.bias = slotOf(call.in(kBias), g, g.dOut);
  p.biasStep = g.slots * g.dOut;
  if (call.has(kResidual)) {
    p.residual = addressOf(call.in(kResidual));
    p.residualType = call.in(kResidual).dtype;
  }
  if (call.hasOut(kPreActivation)) p.preActivation = addressOf(call.out(kPreActivation));
  groupedGemm(p);
}

/// Gradient of the bias: column sums over the rows of each group.
template <typename T, typename G>
void biasGradient(const Groups& g, const T* gradient, G* gb, float beta) {
  each(g.groups * g.dOut, [=] __device__(int64_t i) {
    const int64_t group = i / g.dOut, column = i % g.dOut;
    const int64_t first = g.offsets ? g.offsets[group] : 0, last = g.offsets ? g.offsets[group + 1] : g.rows;
    double sum = 0;
    for (int64_t row = first; row < last; ++row) sum += load(gradient + row * g.dOut + column);
    store(gb + (group * g.slots + g.slot) * g.dOut + column, beta, static_cast<float>(sum));
  });
}

/// The forward pass for x and weight stored as T, and y as Y.
template <typename T, typename Y>
void backwardOf(const Call& call) {
  const Groups g(call);
  const Activation activation = activationOf(call);
  if (activation != Activation::none && !call.hasOut(kPreActivation))
    fail("INVALID_ARGUMENT", call.describe(), ": a call with training 0 keeps nothing for a backward pass.");
  const Y* gy = outputGradient<Y>(call, kY);
  if (const Tensor& gr = inputGradient(call, kResidual))
    byType(gr.dtype,
           [&](auto type) { storeElements(g.rows * g.dOut, gy, dataOf<decltype(type)>(gr), call.beta(kResidual)); });
  const Tensor &gx = inputGradient(call, kX), &gw = inputGradient(call, kWeight), &gb = inputGradient(call, kBias);
  if (!gx && !gw && !gb) return;
  // The product needs operands of one storage type, so the gradient is converted to that of x and weight.
  const bool direct = activation == Activation::none && std::is_same_v<T, Y>;
  const Scratch<T> scratch(direct ? 0 : g.rows * g.dOut);
  if (!direct) multiplyBySlope(activation, output<Y>(call, kPreActivation), gy, scratch.get(), g.rows * g.dOut);
  const T* gradient = direct ? reinterpret_cast<const T*>(gy) : scratch.get();
  const Tensor &x = call.in(kX), &weight = call.in(kWeight);
  if (gx) {
    GroupedGemm p = productOf(call, g, GroupedGemm::Ragged::rows);
    p.m = g.largest;
    p.n = g.dIn;
    p.k = g.dOut;
    p.a = {gradient, x.dtype, g.dOut, false};
    p.b = {slotOf(weight, g, g.dIn * g.dOut), weight.dtype, g.dOut, true};
    p.bStep = g.slots * g.dIn * g.dOut;
    p.c = addressOf(gx);
    p.cType = gx.dtype;
    p.cStride = g.dIn;
    p.beta = call.beta(kX);
    groupedGemm(p);
  }
  // With a beta of 0, slots that this call does not use get a gradient of zeros.
  if (gw) {
    if (g.slots > 1) zeroGradient(call, kWeight);
    GroupedGemm p = productOf(call, g, GroupedGemm::Ragged::depth);
    p.m = g.dIn;
    p.n = g.dOut;
    p.k = g.largest;
    p.a = {addressOf(x), x.dtype, g.dIn, true};
    p.b = {gradient, x.dtype, g.dOut, false};
    p.c = const_cast<void*>(slotOf(gw, g, g.dIn * g.dOut));
    p.cStep = g.slots * g.dIn * g.dOut;
    p.cType = gw.dtype;
    p.cStride = g.dOut;
    p.beta = call.beta(kWeight);
    groupedGemm(p);
  }
  if (gb) {
    if (g.slots > 1) zeroGradient(call, kBias);
    byType(gb.dtype, [&](auto type) { biasGradient(g, gradient, dataOf<decltype(type)>(gb), call.beta(kBias)); });
  }
}

void backwardCuda(Call& call) {
  byType(call.in(kX).dtype, [&](auto type) {
    byType(call.gradOutputs[kY].dtype, [&](auto wide) { backwardOf<decltype(type), decltype(wide)>(call); });
  });
}

}  // namespace
}  // namespace grouped_linear

Kernels cuda_grouped_linear() { return {grouped_linear::forwardCuda, grouped_linear::backwardCuda}; }

}  // namespace hint
