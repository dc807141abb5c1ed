#include <algorithm>
#include <cstring>

#include "native/ops/common/activation.h"
#include "native/ops/common/long_sums.h"
#include "native/ops/common/products.h"
#include "native/ops/common/result_gradient.h"
#include "native/ops/common/row_groups.h"
#include "native/ops/grouped_linear/grouped_linear.h"
#include "native/runtime/cpu/widened_call.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

namespace hint::grouped_linear {
namespace {

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
void zeroOtherSlots(const Shape& shape, const Tensor& gradient, float beta, int64_t size) {
  if (beta != 0.0f || shape.slots == 1) return;
  const auto bytes = static_cast<size_t>(size) * sizeOf(gradient.dtype);
  auto* values = static_cast<char*>(addressOf(gradient));
  parallelFor(shape.groups * shape.slots, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block)
      if (block % shape.slots != shape.slot) std::memset(values + static_cast<size_t>(block) * bytes, 0, bytes);
  });
}

}  // namespace

void forward(Call& call) {
  if (!multipliesAsStored(call)) return runWidened(call, forward);
  const Shape shape(call);
  const int64_t dIn = shape.dIn, dOut = shape.dOut;
  const auto alpha = static_cast<float>(call.number("alpha"));
  const Activation activation = activationOf(call);
  const Factor x(call.in(kX)), weight(call.in(kWeight));
  const Tensor &y = call.out(kY), &kept = call.out(kPreActivation);
  const bool hasBias = call.has(kBias), hasResidual = call.has(kResidual), keeps = call.hasOut(kPreActivation);
  const bool isRounded = y.dtype == DType::bf16;
  const bool isFinished = !hasBias && !hasResidual && activation == Activation::none && !isRounded;
  forEachGroup(shape, [&](int64_t group) {
    const int64_t end = shape.end(group), block = shape.block(group);
    const int64_t height = isRounded ? std::min(end - shape.begin(group), rowsPerBlock(dOut)) : shape.rows;
    const Scratch room(isRounded ? height * dOut : 1);
    for (int64_t first = shape.begin(group); first < end; first += height) {
      const int64_t rows = std::min(height, end - first);
      float* sums = isRounded ? room.data() : (keeps ? kept : y).data<float>() + first * dOut;
      gemm(false, false, rows, dOut, dIn, alpha, x.from(first * dIn), dIn, weight.from(block * dIn * dOut), dOut, 0.0f,
           sums, dOut);
      if (isFinished) continue;
      parallelFor(rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, dOut)), [&](int64_t begin, int64_t last) {
        for (int64_t row = begin; row < last; ++row) {
          float* sum = sums + row * dOut;
          const int64_t at = (first + row) * dOut;
          if (hasBias) addValues(sum, call.in(kBias), block * dOut, dOut);
          if (isRounded && keeps) storeValues(kept, at, 0.0f, sum, dOut);
          float* result = isRounded ? sum : y.data<float>() + at;
          if (activation != Activation::none) activateRange(activation, sum, result, dOut);
          if (hasResidual) addValues(result, call.in(kResidual), at, dOut);
          if (isRounded) storeValues(y, at, 0.0f, result, dOut);
        }
      });
    }
  });
}

void backward(Call& call) {
  if (!multipliesAsStored(call)) return runWidened(call, backward);
  const Shape shape(call);
  const int64_t dIn = shape.dIn, dOut = shape.dOut;
  const auto alpha = static_cast<float>(call.number("alpha"));
  const Factor x(call.in(kX)), weight(call.in(kWeight));
  ResultGradient result(call, call.gradOutputs[kY], call.out(kPreActivation));
  if (const Tensor& gr = call.gradInputs[kResidual]) {
    const float* given = result.given();
    parallelFor(shape.rows * dOut, 16384, [&](int64_t begin, int64_t end) {
      storeValues(gr, begin, call.beta(kResidual), given + begin, end - begin);
    });
  }
  const Tensor &gx = call.gradInputs[kX], &gw = call.gradInputs[kWeight], &gb = call.gradInputs[kBias];
  if (!gx && !gw && !gb) return;
  // Made here, because groups may run on several threads.
  const Factor factor = gx || gw ? result.factor(x.dtype) : x;
  const float* gradient = gb ? result.floats() : nullptr;
  if (gw) zeroOtherSlots(shape, gw, call.beta(kWeight), dIn * dOut);
  if (gb) zeroOtherSlots(shape, gb, call.beta(kBias), dOut);
  forEachGroup(shape, [&](int64_t group) {
    const int64_t first = shape.begin(group), rows = shape.end(group) - first, block = shape.block(group);
    const Factor g = factor.from(first * dOut);
    if (gx)
      productInto(gx, first * dIn, false, true, rows, dIn, dOut, alpha, g, dOut, weight.from(block * dIn * dOut), dOut,
                  call.beta(kX));
    if (gw)
      productInto(gw, block * dIn * dOut, true, false, dIn, dOut, rows, alpha, x.from(first * dIn), dIn, g, dOut,
                  call.beta(kWeight));
    if (gb)
      parallelFor(dOut, 64, [&](int64_t begin, int64_t end) {
        LongSums sums(end - begin);
        for (int64_t row = 0; row < rows; ++row) sums.addRow(gradient + (first + row) * dOut + begin);
        storeValues(gb, block * dOut + begin, call.beta(kBias), sums.rounded(), end - begin);
      });
  });
}

}  // namespace hint::grouped_linear
