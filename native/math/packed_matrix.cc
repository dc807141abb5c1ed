#include "native/math/packed_matrix.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "native/core/error.h"
#include "native/math/bf16.h"
#include "native/math/dot_kernel.h"
#include "native/math/dot_packing.h"
#include "native/math/dot_product.h"
#include "native/math/finite.h"
#include "native/math/instructions.h"
#include "native/math/narrow_product.h"
#include "native/math/quantize.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

namespace hint {
namespace {

/// The order of DotPanels of f32 values.
Panels floatPanels(int64_t k) {
  const DotPanels panels{k, DType::f32};
  return {DotPanels::kColumns, panels.steps() * panels.step()};
}

/// The number of rows from which widening a whole matrix is faster than narrowProduct. It is larger when
/// the widened matrix does not fit the cache; a matrix above 64 MiB is never widened.
int64_t manyRows(int64_t values) {
  if (values > int64_t{1} << 24) return INT64_MAX;
  return values > int64_t{1} << 20 ? 512 : 192;
}

/// Multiply-adds per thread below which another thread costs more than it gains.
constexpr int64_t kGrain = 1 << 15;

void multiplyNarrow(int64_t m, int64_t k, int64_t n, const float* x, const PackedMatrix& matrix,
                    const Epilogue& epilogue, float* y) {
  if (matrix.rowFactor) {
    const Scratch scaled(m * k);
    parallelFor(m, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, k)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < k; ++j) scaled[i * k + j] = x[i * k + j] * matrix.rowFactor[j];
    });
    return multiplyNarrow(m, k, n, scaled, {matrix.dtype, matrix.values, matrix.scale}, epilogue, y);
  }
  const NarrowMatrix narrow{matrix.dtype, matrix.values, matrix.scale};
  if (m >= manyRows(k * n)) {
    const Panels panels = floatPanels(k);
    const Scratch widened(panels.values(n));
    widenPanels(k, n, narrow, panels, widened);
    return dotProduct(m, k, n, x, {DType::f32, widened.data(), nullptr, nullptr, nullptr}, epilogue, y);
  }
  const int64_t width = narrowPanels(k).width, count = (n + width - 1) / width;
  parallelFor(count, std::max<int64_t>(1, kGrain / (width * m * std::max<int64_t>(1, k))),
              [&](int64_t begin, int64_t end) {
                narrowProduct(m, k, n, x, narrow, epilogue, y, begin * width, std::min(n, end * width));
              });
}

}  // namespace

DType packedDType(DType wanted) {
  return hasDotProducts(wanted) || supports(Instructions::avx512) ? wanted : DType::f32;
}

int64_t packedSize(int64_t k, int64_t n, DType dtype) {
  if (k == 0 || n == 0) return 0;
  if (checkedProduct(k, n) > kMostElements)
    fail("INVALID_SHAPE", "A matrix of [", k, ", ", n, "] is too large; ", kMostElements, " values are the most.");
  if (!hasDotProducts(dtype)) return narrowPanels(k).values(n);
  return DotPanels{k, dtype}.bytes(n) / static_cast<int64_t>(sizeOf(dtype));
}

void arrangeMatrix(int64_t k, int64_t n, bool transposed, DType dtype, const void* values, void* packed) {
  if (k == 0 || n == 0) return;
  if (!hasDotProducts(dtype)) {
    arrangeInPanels({1, k, n, transposed, dtype, values}, narrowPanels(k), dtype, false, packed);
    return;
  }
  constexpr int64_t kWidth = DotPanels::kColumns;
  parallelFor((n + kWidth - 1) / kWidth, std::max<int64_t>(1, 16384 / (k * kWidth)), [&](int64_t begin, int64_t end) {
    arrangePanels({values, transposed, transposed ? k : n}, {k, dtype}, n, begin * kWidth, end * kWidth, packed);
  });
}

namespace {

/// Room for the values of one matrix. It is not kept, because a model's matrices are packed once and differ in size.
template <typename Value>
std::unique_ptr<Value[]> roomFor(int64_t count) {
  return std::make_unique_for_overwrite<Value[]>(static_cast<size_t>(count));
}

/// Packs one matrix that is held as bf16, or as i8, after conversion of its values, which are f32 or bf16.
void packOne(int64_t k, int64_t n, bool transposed, DType given, const void* weight, DType held, void* packed,
             float* scale, float* columnSum, float* rowFactor) {
  if (given == held) return arrangeMatrix(k, n, transposed, held, weight, packed);
  if (held == DType::bf16) {
    const auto rounded = roomFor<uint16_t>(k * n);
    const auto* exact = static_cast<const float*>(weight);
    parallelFor(k * n, 16384,
                [&](int64_t begin, int64_t end) { toBf16(exact + begin, rounded.get() + begin, end - begin); });
    return arrangeMatrix(k, n, transposed, held, rounded.get(), packed);
  }
  std::unique_ptr<float[]> widened;
  const auto* values = static_cast<const float*>(weight);
  if (given == DType::bf16) {
    widened = roomFor<float>(k * n);
    const auto* halves = static_cast<const uint16_t*>(weight);
    parallelFor(k * n, 16384,
                [&](int64_t begin, int64_t end) { fromBf16(halves + begin, widened.get() + begin, end - begin); });
    values = widened.get();
  }
  const auto steps = roomFor<int8_t>(k * n);
  quantizeColumns(values, k, n, transposed, steps.get(), scale, columnSum, rowFactor);
  arrangeMatrix(k, n, transposed, held, steps.get(), packed);
}

}  // namespace

bool packMatrices(const PlainMatrices& matrices, DType wanted, bool checked, void* packed, float* scale,
                  float* columnSum, float* rowFactor) {
  const int64_t k = matrices.k, n = matrices.n;
  if (matrices.count == 0 || k == 0 || n == 0) return true;
  const DType held = packedDType(wanted);
  std::optional<Panels> panels;
  if (held == DType::f32) panels = floatPanels(k);
  if (held == DType::bf16 && !hasDotProducts(held)) panels = narrowPanels(k);
  if (panels) return arrangeInPanels(matrices, *panels, held, wanted == DType::bf16, packed) || !checked;
  const int64_t bytes = packedSize(k, n, held) * static_cast<int64_t>(sizeOf(held));
  const int64_t plainBytes = k * n * static_cast<int64_t>(sizeOf(matrices.dtype));
  for (int64_t i = 0; i < matrices.count; ++i) {
    const char* from = static_cast<const char*>(matrices.values) + i * plainBytes;
    if (checked && firstNonFinite(matrices.dtype, from, k * n) >= 0) return false;
    packOne(k, n, matrices.transposed, matrices.dtype, from, held, static_cast<char*>(packed) + i * bytes,
            scale ? scale + i * n : nullptr, columnSum ? columnSum + i * n : nullptr,
            rowFactor ? rowFactor + i * k : nullptr);
  }
  return true;
}

namespace {

/// Of what the processor has no products: values are widened, and the result is rounded when it is whole.
void multiplyWidened(int64_t m, int64_t k, int64_t n, const FloatReader& x, const PackedMatrix& matrix,
                     const Epilogue& epilogue, const FloatWriter& y) {
  const Scratch room((x.isHalf() ? m * k : 0) + (y.isHalf() ? m * n : 0));
  float* result = y.place(0, room.data() + (x.isHalf() ? m * k : 0));
  multiplyNarrow(m, k, n, x.read(0, m * k, room), matrix, epilogue, result);
  y.write(0, m * n, result);
}

}  // namespace

void packedProduct(int64_t m, int64_t k, int64_t n, const FloatReader& x, const PackedMatrix& matrix,
                   const Epilogue& epilogue, const FloatWriter& y) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    const Scratch room(y.isHalf() ? n : 0);
    for (int64_t row = 0; row < m; ++row) {
      float* result = y.place(row * n, room);
      std::fill_n(result, n, 0.0f);
      finishRow(epilogue.at(row, 0, n), n, result);
      y.write(row * n, n, result);
    }
    return;
  }
  if (!hasDotProducts(matrix.dtype)) return multiplyWidened(m, k, n, x, matrix, epilogue, y);
  dotProduct(m, k, n, x, {matrix.dtype, matrix.values, matrix.scale, matrix.columnSum, matrix.rowFactor}, epilogue, y);
}

}  // namespace hint
