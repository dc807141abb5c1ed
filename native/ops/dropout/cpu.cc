#include "native/ops/common/dropout_mask.h"
#include "native/ops/common/elementwise.h"
#include "native/ops/dropout/dropout.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

namespace hint::dropout {
namespace {

/// destination = beta * destination + mask * value, for every row.
void maskRows(const Call& call, float* destination, float beta, const float* value) {
  const int64_t rows = call.dim("rows"), d = call.dim("d");
  const Dropout dropout = call.dropout();
  const IntList& offsets = call.list("seqOffsets");
  parallelFor(rows, rowGrain(d), [&](int64_t begin, int64_t end) {
    Scratch space(d);
    forEachMaskedRun(dropout, offsets, d, begin, end, space, [&](int64_t first, int64_t last, const float* mask) {
      if (!mask) return store(destination + first * d, beta, 1.0f, value + first * d, (last - first) * d);
      for (int64_t row = first; row < last; ++row) storeProduct(destination + row * d, beta, value + row * d, mask, d);
    });
  });
}

}  // namespace

void forward(Call& call) { maskRows(call, call.o(kY), 0.0f, call.f(kX)); }

void backward(Call& call) {
  float* gx = call.gi(kX);
  if (!gx) return;
  if (const float* gy = call.go(kY))
    maskRows(call, gx, call.beta(kX), gy);
  else
    call.giZeroed(kX);
}

}  // namespace hint::dropout
