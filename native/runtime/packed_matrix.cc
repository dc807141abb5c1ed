#include "native/runtime/packed_matrix.h"

#include <dnnl.hpp>
#include <map>
#include <memory>
#include <tuple>
#include <unordered_map>

#include "native/runtime/error.h"

namespace hint {
namespace {

using dnnl::memory;
using Desc = memory::desc;

constexpr auto kFloat = memory::data_type::f32;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

/// oneDNN's streams and primitives are used by one thread at a time here: each compute thread has its own.
dnnl::stream& stream() {
  thread_local dnnl::stream own(engine());
  return own;
}

Desc rowMajor(int64_t rows, int64_t columns) { return {{rows, columns}, kFloat, memory::format_tag::ab}; }

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

/// Rows on whose behalf the order is chosen; oneDNN's choice depends on k and n.
constexpr int64_t kTypicalRows = 64;

const Desc& packedDesc(int64_t k, int64_t n) {
  thread_local std::map<std::pair<int64_t, int64_t>, Desc> known;
  const auto found = known.find({k, n});
  if (found != known.end()) return found->second;
  const Desc any({k, n}, kFloat, memory::format_tag::any);
  const auto chosen = describe(rowMajor(kTypicalRows, k), any, Desc(), rowMajor(kTypicalRows, n), {});
  return known.emplace(std::pair(k, n), chosen.weights_desc()).first->second;
}

struct Key {
  int64_t m, k, n;
  bool bias, residual;
  Activation activation;
  bool operator==(const Key&) const = default;
};

struct KeyHash {
  size_t operator()(const Key& key) const {
    size_t hash = 0;
    for (const int64_t part :
         {key.m, key.k, key.n, int64_t{key.bias} * 2 + int64_t{key.residual}, static_cast<int64_t>(key.activation)})
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
  return activation == Activation::gelu ? dnnl::algorithm::eltwise_gelu_tanh : dnnl::algorithm::eltwise_tanh;
}

Product make(const Key& key) {
  const Desc x = rowMajor(key.m, key.k), y = rowMajor(key.m, key.n);
  const Desc bias = key.bias ? rowMajor(1, key.n) : Desc();
  dnnl::post_ops after;
  if (key.activation != Activation::none) {
#if DNNL_VERSION_MAJOR >= 3
    after.append_eltwise(algorithmOf(key.activation), 0.0f, 0.0f);
#else
    after.append_eltwise(1.0f, algorithmOf(key.activation), 0.0f, 0.0f);
#endif
  }
  if (key.residual) after.append_binary(dnnl::algorithm::binary_add, y);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(after);
  const auto description = describe(x, packedDesc(key.k, key.n), bias, y, attributes);
  const auto window = [](const Desc& desc) { return memory(desc, engine(), nullptr); };
  return {dnnl::matmul(description),
          window(x),
          window(packedDesc(key.k, key.n)),
          window(key.bias ? bias : x),
          window(y),
          window(y),
          static_cast<int>(DNNL_ARG_ATTR_MULTIPLE_POST_OP(after.len() - 1) | DNNL_ARG_SRC_1)};
}

/// Products of ragged batches have ever new row counts; what is made for them is small, but not without end.
constexpr size_t kProductsKept = 512;

Product& productOf(const Key& key) {
  thread_local std::unordered_map<Key, Product, KeyHash> known;
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  if (known.size() >= kProductsKept) known.clear();
  return known.emplace(key, make(key)).first->second;
}

template <typename Body>
void guarded(const Body& body) {
  try {
    body();
  } catch (const dnnl::error& error) {
    fail("INTERNAL", "oneDNN refused a product with a packed matrix: ", error.what(), ".");
  }
}

}  // namespace

int64_t packedFloats(int64_t k, int64_t n) {
  if (k == 0 || n == 0) return 0;
  int64_t floats = 0;
  guarded([&] { floats = static_cast<int64_t>((packedDesc(k, n).get_size() + 3) / 4); });
  return floats;
}

void packMatrix(int64_t k, int64_t n, bool transposed, const float* weight, float* packed) {
  if (k == 0 || n == 0) return;
  guarded([&] {
    const Desc stored({k, n}, kFloat, transposed ? memory::format_tag::ba : memory::format_tag::ab);
    memory from(stored, engine(), const_cast<float*>(weight)), to(packedDesc(k, n), engine(), packed);
    dnnl::reorder(from, to).execute(stream(), from, to);
    stream().wait();
  });
}

void packedProduct(int64_t m, int64_t k, int64_t n, const float* x, const float* packed, const Epilogue& epilogue,
                   float* y) {
  if (m == 0 || n == 0) return;
  guarded([&] {
    Product& product =
        productOf({m, k, n, epilogue.bias != nullptr, epilogue.residual != nullptr, epilogue.activation});
    product.x.set_data_handle(const_cast<float*>(x));
    product.weight.set_data_handle(const_cast<float*>(packed));
    product.y.set_data_handle(y);
    std::unordered_map<int, memory> arguments = {
        {DNNL_ARG_SRC, product.x}, {DNNL_ARG_WEIGHTS, product.weight}, {DNNL_ARG_DST, product.y}};
    if (epilogue.bias) {
      product.bias.set_data_handle(const_cast<float*>(epilogue.bias));
      arguments.emplace(DNNL_ARG_BIAS, product.bias);
    }
    if (epilogue.residual) {
      product.residual.set_data_handle(const_cast<float*>(epilogue.residual));
      arguments.emplace(product.residualArgument, product.residual);
    }
    product.primitive.execute(stream(), arguments);
    stream().wait();
  });
}

}  // namespace hint
