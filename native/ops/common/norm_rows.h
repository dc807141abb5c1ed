#pragma once

#include <algorithm>
#include <vector>

#include "native/math/float_rows.h"
#include "native/ops/common/dropout_mask.h"
#include "native/ops/common/elementwise.h"
#include "native/ops/common/lanes.h"
#include "native/ops/common/long_sums.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

/// The rows of rms_norm and layer_norm, both of which may begin with a residual addition: s = x + dropout(delta). Their
/// inputs begin with x and delta, their outputs with y and sum.
namespace hint {

/// One full-width vector of floats.
template <typename Term>
[[gnu::always_inline]] inline float rowSum(int64_t d, const Term& term) {
  return sumInLanes<16, float>(d, term);
}

/// Runs body(row, s, y) for every row, on several threads: `y` takes the row's result, and with delta, s is the row of
/// the output `sum`, written here. x, delta and the result may be bf16.
template <typename Body>
void forEachNormRow(const Call& call, const Body& body) {
  const int64_t rows = call.dim("rows"), d = call.dim("d");
  const FloatReader x(call.in(0)), delta(call.in(1));
  const FloatWriter y(call.out(0));
  float* sum = call.o(1);
  const Dropout dropout = delta ? call.dropout() : Dropout{};
  const IntList& offsets = call.list("seqOffsets");
  parallelFor(rows, rowGrain(d), [&](int64_t begin, int64_t end) {
    Scratch space(4 * d);
    float *maskSpace = space, *ofX = maskSpace + d, *ofDelta = ofX + d, *ofY = ofDelta + d;
    forEachMaskedRun(dropout, offsets, d, begin, end, maskSpace, [&](int64_t first, int64_t last, const float* mask) {
      for (int64_t row = first; row < last; ++row) {
        const float* s = x.read(row * d, d, ofX);
        if (delta) {
          const float* added = delta.read(row * d, d, ofDelta);
          if (mask)
            addMasked(sum + row * d, s, added, mask, d);
          else
            addTo(sum + row * d, s, added, d);
          s = sum + row * d;
        }
        float* result = y.place(row * d, ofY);
        body(row, s, result);
        y.write(row * d, d, result);
      }
    });
  });
}

/// The backward pass over rows. addParameters(row, s, gy, sums) adds a row's share of the parameters' gradients to
/// `width` sums (0: none are wanted), which finish(sums) gets when all rows have been added.
/// gradientOfSum(row, s, gy, gs) writes the gradient that s gets through y.
template <typename AddParameters, typename GradientOfSum, typename Finish>
void normBackward(const Call& call, int64_t width, const AddParameters& addParameters,
                  const GradientOfSum& gradientOfSum, const Finish& finish) {
  const int64_t rows = call.dim("rows"), d = call.dim("d");
  const float* s = call.has(1) ? call.out(1).data<float>() : call.f(0);
  const float *gy = call.go(0), *gsum = call.has(1) ? call.go(1) : nullptr;
  float *gx = call.gi(0), *gdelta = call.gi(1);
  const Dropout dropout = gdelta ? call.dropout() : Dropout{};
  const IntList& offsets = call.list("seqOffsets");

  const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(threadCount(), rows / rowGrain(d)));
  std::vector<LongSums> partial;
  partial.reserve(static_cast<size_t>(parts));
  for (int64_t part = 0; part < parts; ++part) partial.emplace_back(width);
  parallelFor(parts, 1, [&](int64_t firstPart, int64_t endPart) {
    Scratch space(2 * d);
    float *gs = space, *maskSpace = gs + d;
    for (int64_t part = firstPart; part < endPart; ++part) {
      LongSums& sums = partial[static_cast<size_t>(part)];
      const auto run = [&](int64_t first, int64_t last, const float* mask) {
        for (int64_t row = first; row < last; ++row) {
          const int64_t at = row * d;
          if (width > 0 && gy) addParameters(row, s + at, gy + at, sums.nextRow());
          if (!gx && !gdelta) continue;
          const float* gradient = gsum ? gsum + at : gs;
          if (gy) {
            gradientOfSum(row, s + at, gy + at, gs);
            if (gsum) addTo(gs, gs, gradient, d);
            gradient = gs;
          } else if (!gsum) {
            std::fill_n(gs, d, 0.0f);
          }
          if (gx) store(gx + at, call.beta(0), 1.0f, gradient, d);
          if (gdelta && mask) storeProduct(gdelta + at, call.beta(1), gradient, mask, d);
          if (gdelta && !mask) store(gdelta + at, call.beta(1), 1.0f, gradient, d);
        }
      };
      forEachMaskedRun(dropout, offsets, d, rows * part / parts, rows * (part + 1) / parts, maskSpace, run);
    }
  });
  if (width == 0) return;
  for (size_t part = 1; part < partial.size(); ++part) partial[0].add(partial[part]);
  finish(partial[0].rounded());
}

}  // namespace hint
