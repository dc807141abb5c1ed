#include <algorithm>

#include "native/ops/common/elementwise.h"
#include "native/ops/segment_mean/segment_mean.h"
#include "native/runtime/parallel.h"

namespace hint::segment_mean {
namespace {

constexpr int64_t kColumns = 256;

HINT_CLONES void meanOfColumns(const float* x, int64_t stride, int64_t rows, int64_t columns, float* y) {
  double sums[kColumns] = {};
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < columns; ++i) sums[i] += static_cast<double>(x[row * stride + i]);
  for (int64_t i = 0; i < columns; ++i) y[i] = static_cast<float>(sums[i] / static_cast<double>(rows));
}

}  // namespace

void forward(Call& call) {
  const int64_t rows = call.dim("rows"), segments = call.dim("segments"), d = call.dim("d");
  const IntList& offsets = call.list("offsets");
  const float* x = call.f(kX);
  float* y = call.o(kY);
  const int64_t blocks = (d + kColumns - 1) / kColumns;
  const auto item = [&](int64_t index) {
    const int64_t segment = index / blocks, column = index % blocks * kColumns;
    const int64_t first = offsets[static_cast<size_t>(segment)], last = offsets[static_cast<size_t>(segment) + 1];
    meanOfColumns(x + first * d + column, d, last - first, std::min(kColumns, d - column), y + segment * d + column);
  };
  if (rows * d >= 2 * kElementGrain) {
    parallelItems(segments * blocks, item);
    return;
  }
  for (int64_t index = 0; index < segments * blocks; ++index) item(index);
}

void backward(Call& call) {
  const int64_t rows = call.dim("rows"), d = call.dim("d");
  const IntList& offsets = call.list("offsets");
  const float* gy = call.go(kY);
  if (!gy) call.giZeroed(kX);
  float* gx = gy ? call.gi(kX) : nullptr;
  if (!gx) return;
  const float beta = call.beta(kX);
  parallelFor(rows, rowGrain(d), [&](int64_t begin, int64_t end) {
    auto next = std::upper_bound(offsets.begin(), offsets.end(), begin);
    for (int64_t row = begin; row < end; ++row) {
      if (row == *next) ++next;
      store(gx + row * d, beta, 1.0f / static_cast<float>(*next - *(next - 1)), gy + (next - 1 - offsets.begin()) * d,
            d);
    }
  });
}

}  // namespace hint::segment_mean
