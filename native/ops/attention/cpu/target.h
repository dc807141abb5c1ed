#pragma once

#include <cstdint>
#include <vector>

#include "native/ops/attention/cpu/tile.h"
#include "native/runtime/parallel.h"

namespace hint::attention {

/// Destination of the gradient of one input's rows: the gradient itself, or partial sums when several bundles share
/// those rows.
struct Target {
  float* gradient = nullptr;
  float beta = 0.0f;
  int64_t rows = 0;
  std::vector<float> partial = {};  ///< [parts, rows, width]

  bool wanted() const { return gradient != nullptr; }
  void write(int64_t part, int64_t row, int64_t count, int64_t head, int64_t dim, int64_t width, const float* packed) {
    float* base = partial.empty() ? gradient : partial.data() + part * rows * width;
    unpackRows(packed, count, dim, nullptr, partial.empty() ? beta : 0.0f, base + row * width + head * dim, width);
  }
};

/// gradient[row(r)] = beta * gradient + the sum of the partial rows r, in the order of the parts.
template <typename Row>
void reduce(const Target& target, int64_t parts, int64_t width, const Row& row) {
  if (target.partial.empty()) return;
  parallelFor(target.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      float* gradient = target.gradient + row(r) * width;
      for (int64_t d = 0; d < width; ++d) {
        float sum = 0.0f;
        for (int64_t part = 0; part < parts; ++part)
          sum += target.partial[static_cast<size_t>((part * target.rows + r) * width + d)];
        gradient[d] = target.beta == 0.0f ? sum : target.beta * gradient[d] + sum;
      }
    }
  });
}

}  // namespace hint::attention
