#include "native/math/packed_matrix.h"

#include <algorithm>
#include <dnnl.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

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
#include "native/runtime/signals.h"

namespace hint {
namespace {

using dnnl::memory;
using Desc = memory::desc;
using Type = memory::data_type;

const dnnl::engine& engine() {
  // The engine is never destroyed, because compute threads may still use it while the process ends.
  static const auto& cpu = *new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return cpu;
}

/// The calling thread's own stream: oneDNN's streams and primitives must not be used by two threads at once.
dnnl::stream& stream() {
  thread_local dnnl::stream own(engine());
  return own;
}

Desc rowMajor(int64_t rows, int64_t columns) { return {{rows, columns}, Type::f32, memory::format_tag::ab}; }

dnnl::matmul::primitive_desc describe(const Desc& x, const Desc& weight, const Desc& bias, const Desc& y,
                                      const dnnl::primitive_attr& attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), x, weight, bias, y, attributes};
#else
  const dnnl::matmul::desc operation =
      bias.get_size() == 0 ? dnnl::matmul::desc(x, weight, y) : dnnl::matmul::desc(x, weight, bias, y);
  return {operation, attributes, engine()};
#endif
}

/// The number of rows for which oneDNN is asked to choose an order. Its choice depends on k and n.
constexpr int64_t kTypicalRows = 64;

const Desc& packedDesc(int64_t k, int64_t n) {
  thread_local std::map<std::pair<int64_t, int64_t>, Desc> known;
  const auto key = std::pair(k, n);
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  const Desc any({k, n}, Type::f32, memory::format_tag::any);
  const auto chosen = describe(rowMajor(kTypicalRows, k), any, Desc(), rowMajor(kTypicalRows, n), {});
  return known.emplace(key, chosen.weights_desc()).first->second;
}

/// oneDNN's order of packed f32 matrices as Panels; nullopt when arrangeInPanels cannot produce that order.
std::optional<Panels> panelsOf(int64_t k, int64_t n) {
  const Desc& desc = packedDesc(k, n);
#if DNNL_VERSION_MAJOR >= 3
  if (desc.get_format_kind() != memory::format_kind::blocked) return std::nullopt;
  const auto blocks = desc.get_inner_blks(), of = desc.get_inner_idxs(), steps = desc.get_strides(),
             padded = desc.get_padded_dims();
  const auto depth = static_cast<int64_t>(blocks.size());
#else
  if (desc.data.format_kind != dnnl_blocked || desc.data.extra.flags != 0) return std::nullopt;
  const auto& layout = desc.data.format_desc.blocking;
  const auto &blocks = layout.inner_blks, &of = layout.inner_idxs, &steps = layout.strides;
  const auto& padded = desc.data.padded_dims;
  const int64_t depth = layout.inner_nblks;
#endif
  // The accepted orders have blocks of columns, with or without blocks of rows inside them.
  const bool isOfRows = depth == 2 && of[0] == 0 && of[1] == 1;
  if (!isOfRows && !(depth == 1 && of[0] == 1)) return std::nullopt;
  const int64_t width = blocks[depth - 1], rows = padded[0];
  const bool isDense = steps[0] == (isOfRows ? blocks[0] : 1) * width && steps[1] == rows * width;
  if (width % 16 != 0 || !isDense || desc.get_size() != static_cast<size_t>(padded[1] * rows) * sizeof(float))
    return std::nullopt;
  return Panels{width, rows};
}

struct Key {
  int64_t m, k, n;
  bool bias, residual;
  Activation activation;
  bool operator==(const Key&) const = default;
};

struct KeyHash {
  size_t operator()(const Key& key) const {
    const int64_t flags = int64_t{key.bias} * 2 + int64_t{key.residual};
    size_t hash = 0;
    for (const int64_t part : {key.m, key.k, key.n, flags, static_cast<int64_t>(key.activation)})
      hash = hash * 1000003 + static_cast<size_t>(part);
    return hash;
  }
};

struct Product {
  dnnl::matmul primitive;
  memory x, weight, bias, residual, y;
  int residualArgument;
};

dnnl::algorithm algorithmOf(Activation activation) {
  if (activation == Activation::relu) return dnnl::algorithm::eltwise_relu;
  if (activation == Activation::geluErf) return dnnl::algorithm::eltwise_gelu_erf;
  if (activation == Activation::silu) return dnnl::algorithm::eltwise_swish;
  return activation == Activation::gelu ? dnnl::algorithm::eltwise_gelu_tanh : dnnl::algorithm::eltwise_tanh;
}

Product make(const Key& key) {
  const Desc x = rowMajor(key.m, key.k), y = rowMajor(key.m, key.n), weight = packedDesc(key.k, key.n);
  const Desc bias = key.bias ? rowMajor(1, key.n) : Desc();
  dnnl::post_ops after;
  if (key.activation != Activation::none) {
    const auto algorithm = algorithmOf(key.activation);
    // swish multiplies the sigmoid's argument by it; the others have none, or a slope below zero (relu).
    const float alpha = key.activation == Activation::silu ? 1.0f : 0.0f;
#if DNNL_VERSION_MAJOR >= 3
    after.append_eltwise(algorithm, alpha, 0.0f);
#else
    after.append_eltwise(1.0f, algorithm, alpha, 0.0f);
#endif
  }
  if (key.residual) after.append_binary(dnnl::algorithm::binary_add, y);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(after);
  const auto window = [](const Desc& desc) { return memory(desc, engine(), nullptr); };
  return {dnnl::matmul(describe(x, weight, bias, y, attributes)),
          window(x),
          window(weight),
          window(key.bias ? bias : x),
          window(y),
          window(y),
          static_cast<int>(DNNL_ARG_ATTR_MULTIPLE_POST_OP(after.len() - 1) | DNNL_ARG_SRC_1)};
}

/// Ragged batches bring ever new row counts, each of which needs a small primitive of its own; this bounds their
/// number.
constexpr size_t kProductsKept = 512;

Product& productOf(const Key& key) {
  thread_local std::unordered_map<Key, Product, KeyHash> known;
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  if (known.size() >= kProductsKept) known.clear();
  return known.emplace(key, make(key)).first->second;
}

void multiply(int64_t m, int64_t k, int64_t n, const float* x, const void* packed, const Epilogue& epilogue, float* y) {
  const auto handle = [](const void* data) { return const_cast<void*>(data); };
  Product& product = productOf({m, k, n, epilogue.bias != nullptr, epilogue.residual != nullptr, epilogue.activation});
  product.x.set_data_handle(handle(x));
  product.weight.set_data_handle(handle(packed));
  product.y.set_data_handle(y);
  std::unordered_map<int, memory> arguments = {
      {DNNL_ARG_SRC, product.x}, {DNNL_ARG_WEIGHTS, product.weight}, {DNNL_ARG_DST, product.y}};
  if (epilogue.bias) {
    product.bias.set_data_handle(handle(epilogue.bias));
    arguments.emplace(DNNL_ARG_BIAS, product.bias);
  }
  if (epilogue.residual) {
    product.residual.set_data_handle(handle(epilogue.residual));
    arguments.emplace(product.residualArgument, product.residual);
  }
  prepareForBusErrors();
  product.primitive.execute(stream(), arguments);
  stream().wait();
}

template <typename Body>
void guarded(const Body& body) {
  try {
    body();
  } catch (const dnnl::error& error) {
    fail("INTERNAL", "oneDNN refused a product with a packed matrix: ", error.what(), ".");
  }
}

/// The number of rows from which widening a matrix for oneDNN's kernel is faster than narrowProduct. It is larger when
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
  std::optional<Panels> panels;
  if (k > 0 && m >= manyRows(k * n)) panels = panelsOf(k, n);
  if (panels) {
    const Scratch widened(panels->values(n));
    widenPanels(k, n, narrow, *panels, widened);
    return multiply(m, k, n, x, widened.data(), epilogue, y);
  }
  const int64_t width = narrowPanels(k).width, count = (n + width - 1) / width;
  parallelFor(count, std::max<int64_t>(1, kGrain / (width * m * std::max<int64_t>(1, k))),
              [&](int64_t begin, int64_t end) {
                narrowProduct(m, k, n, x, narrow, epilogue, y, begin * width, std::min(n, end * width));
              });
}

}  // namespace

bool hasProducts(DType dtype) { return dtype == DType::f32 || hasDotProducts(dtype); }

DType packedDType(DType wanted) {
  return hasProducts(wanted) || supports(dnnl_cpu_isa_avx512_core) ? wanted : DType::f32;
}

int64_t packedSize(int64_t k, int64_t n, DType dtype) {
  if (k == 0 || n == 0) return 0;
  if (checkedProduct(k, n) > kMostElements)
    fail("INVALID_SHAPE", "A matrix of [", k, ", ", n, "] is too large; ", kMostElements, " values are the most.");
  if (!hasProducts(dtype)) return narrowPanels(k).values(n);
  if (dtype != DType::f32) return DotPanels{k, dtype}.bytes(n) / static_cast<int64_t>(sizeOf(dtype));
  size_t bytes = 0;
  guarded([&] { bytes = packedDesc(k, n).get_size(); });
  return static_cast<int64_t>((bytes + sizeof(float) - 1) / sizeof(float));
}

void arrangeMatrix(int64_t k, int64_t n, bool transposed, DType dtype, const void* values, void* packed) {
  if (k == 0 || n == 0) return;
  if (!hasProducts(dtype)) {
    arrangeInPanels({1, k, n, transposed, dtype, values}, narrowPanels(k), dtype, false, packed);
    return;
  }
  if (dtype != DType::f32) {
    constexpr int64_t kWidth = DotPanels::kColumns;
    parallelFor((n + kWidth - 1) / kWidth, std::max<int64_t>(1, 16384 / (k * kWidth)), [&](int64_t begin, int64_t end) {
      arrangePanels({values, transposed, transposed ? k : n}, {k, dtype}, n, begin * kWidth, end * kWidth, packed);
    });
    return;
  }
  guarded([&] {
    const Desc stored({k, n}, Type::f32, transposed ? memory::format_tag::ba : memory::format_tag::ab);
    memory from(stored, engine(), const_cast<void*>(values)), to(packedDesc(k, n), engine(), packed);
    prepareForBusErrors();
    dnnl::reorder(from, to).execute(stream(), from, to);
    stream().wait();
  });
}

namespace {

/// Room for the values of one matrix. It is not kept, because a model's matrices are packed once and differ in size.
template <typename Value>
std::unique_ptr<Value[]> roomFor(int64_t count) {
  return std::make_unique_for_overwrite<Value[]>(static_cast<size_t>(count));
}

/// Packs one matrix with oneDNN's reorder, after conversion of its values to the dtype that is stored.
void packOne(int64_t k, int64_t n, bool transposed, DType given, const void* weight, DType wanted, void* packed,
             float* scale, float* columnSum, float* rowFactor) {
  const DType held = packedDType(wanted);
  const bool isRounded = wanted == DType::bf16;
  if (given == held && (given == DType::bf16 || !isRounded))
    return arrangeMatrix(k, n, transposed, held, weight, packed);
  std::unique_ptr<uint16_t[]> rounded;
  const auto* halves = static_cast<const uint16_t*>(weight);
  if (given == DType::f32 && isRounded) {
    rounded = roomFor<uint16_t>(k * n);
    const auto* exact = static_cast<const float*>(weight);
    parallelFor(k * n, 16384,
                [&](int64_t begin, int64_t end) { toBf16(exact + begin, rounded.get() + begin, end - begin); });
    halves = rounded.get();
  }
  if (held == DType::bf16) return arrangeMatrix(k, n, transposed, held, halves, packed);
  std::unique_ptr<float[]> widened;
  const auto* values = static_cast<const float*>(weight);
  if (given == DType::bf16 || isRounded) {
    widened = roomFor<float>(k * n);
    parallelFor(k * n, 16384,
                [&](int64_t begin, int64_t end) { fromBf16(halves + begin, widened.get() + begin, end - begin); });
    values = widened.get();
  }
  if (held == DType::f32) return arrangeMatrix(k, n, transposed, held, values, packed);
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
  // arrangeInPanels takes the cases that oneDNN's reorder needs several passes for, or does slowly.
  const bool isPlain = matrices.dtype == DType::f32 && wanted != DType::bf16;
  std::optional<Panels> panels;
  if (held == DType::f32 && !(isPlain && matrices.transposed)) guarded([&] { panels = panelsOf(k, n); });
  if (held == DType::bf16 && !hasProducts(held)) panels = narrowPanels(k);
  if (panels) return arrangeInPanels(matrices, *panels, held, wanted == DType::bf16, packed) || !checked;
  const int64_t bytes = packedSize(k, n, held) * static_cast<int64_t>(sizeOf(held));
  const int64_t plainBytes = k * n * static_cast<int64_t>(sizeOf(matrices.dtype));
  for (int64_t i = 0; i < matrices.count; ++i) {
    const char* from = static_cast<const char*>(matrices.values) + i * plainBytes;
    if (checked && firstNonFinite(matrices.dtype, from, k * n) >= 0) return false;
    packOne(k, n, matrices.transposed, matrices.dtype, from, wanted, static_cast<char*>(packed) + i * bytes,
            scale ? scale + i * n : nullptr, columnSum ? columnSum + i * n : nullptr,
            rowFactor ? rowFactor + i * k : nullptr);
  }
  return true;
}

void packedProduct(int64_t m, int64_t k, int64_t n, const float* x, const PackedMatrix& matrix,
                   const Epilogue& epilogue, float* y) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    for (int64_t row = 0; row < m; ++row) {
      std::fill_n(y + row * n, n, 0.0f);
      finishRow(epilogue.at(row, 0, n), n, y + row * n);
    }
    return;
  }
  guarded([&] {
    if (!hasProducts(matrix.dtype)) return multiplyNarrow(m, k, n, x, matrix, epilogue, y);
    if (matrix.dtype == DType::f32) return multiply(m, k, n, x, matrix.values, epilogue, y);
    dotProduct(m, k, n, x, {matrix.dtype, matrix.values, matrix.scale, matrix.columnSum, matrix.rowFactor}, epilogue,
               y);
  });
}

}  // namespace hint
