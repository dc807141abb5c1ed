#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "native/math/bf16.h"
#include "native/math/dot_kernel.h"
#include "native/math/gemm.h"
#include "native/math/packed_matrix.h"
#include "native/runtime/parallel.h"
#include "native/tests/check.h"

namespace hint {
namespace {

/// Multiples of 1/64 between -1 and 1, which bf16 holds exactly, different at each index.
std::vector<float> values(int64_t count, uint64_t seed) {
  std::vector<float> result(static_cast<size_t>(count));
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (float& value : result) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = static_cast<float>(static_cast<int64_t>(state >> 57) - 64) / 64.0f;
  }
  return result;
}

std::vector<uint16_t> halvesOf(const std::vector<float>& exact) {
  std::vector<uint16_t> halves(exact.size());
  toBf16(exact.data(), halves.data(), static_cast<int64_t>(exact.size()));
  return halves;
}

/// A matrix [k, n] as packed_linear's kernel reads it.
struct Packed {
  std::vector<float> weight, scale, columnSum, rowFactor;
  std::vector<char> memory;
  PackedMatrix matrix;

  Packed(int64_t k, int64_t n, DType dtype)
      : weight(values(k * n, 3)),
        scale(static_cast<size_t>(n)),
        columnSum(static_cast<size_t>(n)),
        rowFactor(static_cast<size_t>(k)),
        memory(static_cast<size_t>(packedSize(k, n, packedDType(dtype))) * sizeOf(packedDType(dtype))) {
    packMatrices({1, k, n, false, DType::f32, weight.data()}, dtype, true, memory.data(), scale.data(),
                 columnSum.data(), rowFactor.data());
    matrix = {packedDType(dtype), memory.data()};
    if (matrix.dtype != DType::i8) return;
    matrix.scale = scale.data();
    matrix.columnSum = columnSum.data();
    matrix.rowFactor = rowFactor.data();
  }
};

struct Shape {
  int64_t m, k, n;
};

/// Shapes whose ends fall inside, on and behind tiles, panels, steps and blocks of the kernels, and one whose result is
/// written past the caches.
const Shape kShapes[] = {{1, 1, 1},     {1, 64, 32},   {15, 31, 33},   {16, 32, 128},   {17, 65, 129},
                         {33, 63, 160}, {100, 96, 31}, {257, 200, 97}, {600, 130, 260}, {4100, 40, 512}};

/// Some of the places of a result, the last one among them.
template <typename Body>
void somewhere(const Shape& shape, const Body& body) {
  for (int64_t i = 0; i < 400; ++i) {
    const int64_t at = i == 0 ? shape.m * shape.n - 1 : i * 7919 % (shape.m * shape.n);
    body(at / shape.n, at % shape.n);
  }
}

TEST("a packed product has the values of its factors at every edge of tiles, panels and blocks") {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i8})
    for (const Shape& shape : kShapes)
      for (const int threads : {1, 3}) {
        setThreadCount(threads);
        const Packed packed(shape.k, shape.n, dtype);
        const std::vector<float> x = values(shape.m * shape.k, 1), bias = values(shape.n, 5),
                                 residual = values(shape.m * shape.n, 7);
        std::vector<float> y(static_cast<size_t>(shape.m * shape.n), NAN);
        packedProduct(shape.m, shape.k, shape.n, x.data(), packed.matrix,
                      {bias.data(), Activation::relu, residual.data()}, y.data());
        for (const float value : y) CHECK(std::isfinite(value));
        // Rows and columns are quantised to 127 steps each; bf16 holds all values, and sums are f32.
        const double bound = dtype == DType::i8 ? 0.02 * std::sqrt(static_cast<double>(shape.k)) + 0.02 : 1e-4;
        somewhere(shape, [&](int64_t row, int64_t column) {
          double sum = bias[static_cast<size_t>(column)];
          for (int64_t i = 0; i < shape.k; ++i)
            sum += static_cast<double>(x[static_cast<size_t>(row * shape.k + i)]) *
                   packed.weight[static_cast<size_t>(i * shape.n + column)];
          const auto at = static_cast<size_t>(row * shape.n + column);
          CHECK(std::fabs(y[at] - (std::max(sum, 0.0) + residual[at])) < bound);
        });
      }
  setThreadCount(availableCores());
}

TEST("a row's packed product is the same to the bit alone, beside others, and on any number of threads") {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i8}) {
    if (!hasDotProducts(dtype)) continue;
    const Shape shape{300, 1150, 200};
    const Packed packed(shape.k, shape.n, dtype);
    const std::vector<float> x = values(shape.m * shape.k, 1);
    std::vector<float> together(static_cast<size_t>(shape.m * shape.n)), alone(static_cast<size_t>(shape.n));
    for (const int threads : {1, 2, 5}) {
      setThreadCount(threads);
      packedProduct(shape.m, shape.k, shape.n, x.data(), packed.matrix, {}, together.data());
      for (const int64_t row : {int64_t{0}, int64_t{31}, int64_t{150}, shape.m - 1}) {
        setThreadCount(4);
        packedProduct(1, shape.k, shape.n, x.data() + row * shape.k, packed.matrix, {}, alone.data());
        CHECK(std::memcmp(alone.data(), together.data() + row * shape.n, alone.size() * sizeof(float)) == 0);
      }
    }
  }
  setThreadCount(availableCores());
}

TEST("factors that lie either way are multiplied, also along more values than are arranged at a time") {
  for (const Shape& shape : {Shape{1, 1, 1}, {33, 31, 65}, {70, 2100, 40}, {100, 4200, 33}, {5, 40, 4200}})
    for (int ways = 0; ways < 16; ++ways) {
      const bool turnsA = ways & 1, turnsB = ways & 2, isHalf = ways & 4;
      if (isHalf && !hasDotProducts(DType::bf16)) continue;
      const float beta = ways & 8 ? 1.0f : 0.0f;
      const std::vector<float> a = values(shape.m * shape.k, 1), b = values(shape.k * shape.n, 2),
                               before = values(shape.m * shape.n, 3);
      const std::vector<uint16_t> left = halvesOf(a), right = halvesOf(b);
      std::vector<float> c = before;
      if (beta == 0.0f) std::fill(c.begin(), c.end(), NAN);
      gemm(turnsA, turnsB, shape.m, shape.n, shape.k, 0.5f, isHalf ? Factor(left.data()) : Factor(a.data()),
           turnsA ? shape.m : shape.k, isHalf ? Factor(right.data()) : Factor(b.data()), turnsB ? shape.k : shape.n,
           beta, c.data(), shape.n);
      for (const float value : c) CHECK(std::isfinite(value));
      somewhere(shape, [&](int64_t row, int64_t column) {
        double sum = 0.0;
        for (int64_t i = 0; i < shape.k; ++i)
          sum += static_cast<double>(a[static_cast<size_t>(turnsA ? i * shape.m + row : row * shape.k + i)]) *
                 b[static_cast<size_t>(turnsB ? column * shape.k + i : i * shape.n + column)];
        const auto at = static_cast<size_t>(row * shape.n + column);
        CHECK(std::fabs(c[at] - (0.5 * sum + beta * before[at])) < 1e-3);
      });
    }
}

TEST("an f32 product reads no value that is none of its factors'") {
  // A value beyond a row of x, or a column that fills up a panel, may be anything: NaN times 0 is NaN.
  const Shape shape{37, 19, 33};
  const int64_t wide = shape.k + 5;
  std::vector<float> a(static_cast<size_t>(shape.m * wide), NAN), c(static_cast<size_t>(shape.m * shape.n), NAN);
  const std::vector<float> some = values(shape.m * shape.k, 1), b = values(shape.k * shape.n, 2);
  for (int64_t row = 0; row < shape.m; ++row) std::copy_n(some.data() + row * shape.k, shape.k, a.data() + row * wide);
  gemm(false, false, shape.m, shape.n, shape.k, 1.0f, a.data(), wide, b.data(), shape.n, 0.0f, c.data(), shape.n);
  for (const float value : c) CHECK(std::isfinite(value));
}

}  // namespace
}  // namespace hint
