// f32 products of the engine beside oneDNN's, packed and plain, in turns: GFLOP/s of each, the best of nine rounds.
//   g++ -O2 -std=c++20 -fopenmp -I. bench/peers/onednn_products.cc build/libhint_native.a -ldnnl -ldl -o onednn_products
//   ./onednn_products [threads]
// Needs libdnnl-dev and "npm run build". HINT_MAX_ISA=avx2 with ONEDNN_MAX_CPU_ISA=AVX2 compares what a processor without
// AVX-512 would run.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <dnnl.hpp>
#include <omp.h>
#include <vector>

#include "native/math/gemm.h"
#include "native/math/packed_matrix.h"
#include "native/runtime/parallel.h"

namespace {

using dnnl::memory;
constexpr auto kF32 = memory::data_type::f32;
constexpr auto kPlain = memory::format_tag::ab;

struct Shape {
  const char* what;
  int64_t m, n, k;
  bool packed, transposeA, transposeB;
};

// T5-base inference with packed weights, and the three products of a layer in training.
constexpr Shape kShapes[] = {
    {"packed, 100 inputs of 133", 13300, 768, 768, true, false, false},
    {"packed, gate", 13300, 2048, 768, true, false, false},
    {"packed, back", 13300, 768, 2048, true, false, false},
    {"packed, decode step of 100", 100, 2048, 768, true, false, false},
    {"packed, head of 100", 100, 32128, 768, true, false, false},
    {"packed, one row", 1, 2048, 768, true, false, false},
    {"x W^T", 8192, 1024, 512, false, false, true},
    {"dy W", 8192, 512, 1024, false, false, false},
    {"dy^T x", 1024, 512, 8192, false, true, false},
    {"square", 2048, 2048, 2048, false, false, false},
};

std::vector<float> values(int64_t count) {
  std::vector<float> result(static_cast<size_t>(count));
  for (float& value : result) value = static_cast<float>(std::rand()) / static_cast<float>(RAND_MAX) - 0.5f;
  return result;
}

template <typename Body>
double secondsOf(int repeats, const Body& body) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < repeats; ++i) body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeats;
}

}  // namespace

int main(int count, char** words) {
  const int threads = count > 1 ? std::atoi(words[1]) : hint::availableCores();
  hint::setThreadCount(threads);
  omp_set_num_threads(threads);
  dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  for (const Shape& s : kShapes) {
    std::vector<float> a = values(s.m * s.k), b = values(s.k * s.n), own = values(s.m * s.n), other = own, packed;
    const int64_t lda = s.transposeA ? s.m : s.k, ldb = s.transposeB ? s.k : s.n;
    const memory::desc x({s.m, s.k}, kF32, kPlain), plain({s.k, s.n}, kF32, kPlain), y({s.m, s.n}, kF32, kPlain),
        any({s.k, s.n}, kF32, memory::format_tag::any);
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::matmul::primitive_desc chosen(engine, x, any, y);
#else
    const dnnl::matmul::primitive_desc chosen(dnnl::matmul::desc(x, any, y), engine);
#endif
    dnnl::matmul product(chosen);
    memory weight(chosen.weights_desc(), engine), given(plain, engine, b.data());
    if (s.packed) {
      dnnl::reorder(given, weight).execute(stream, given, weight);
      stream.wait();
      packed.resize(static_cast<size_t>(hint::packedSize(s.k, s.n, hint::DType::f32)));
      hint::arrangeMatrix(s.k, s.n, false, hint::DType::f32, b.data(), packed.data());
    }
    const auto peer = [&] {
      if (!s.packed) {
        dnnl_sgemm(s.transposeA ? 'T' : 'N', s.transposeB ? 'T' : 'N', s.m, s.n, s.k, 1.0f, a.data(), lda, b.data(), ldb,
                   0.0f, other.data(), s.n);
        return;
      }
      product.execute(stream, {{DNNL_ARG_SRC, memory(x, engine, a.data())},
                               {DNNL_ARG_WEIGHTS, weight},
                               {DNNL_ARG_DST, memory(y, engine, other.data())}});
      stream.wait();
    };
    const auto ours = [&] {
      if (s.packed)
        hint::packedProduct(s.m, s.k, s.n, a.data(), {hint::DType::f32, packed.data()}, {}, own.data());
      else
        hint::gemm(s.transposeA, s.transposeB, s.m, s.n, s.k, 1.0f, a.data(), lda, b.data(), ldb, 0.0f, own.data(), s.n);
    };
    const double flops = 2.0 * static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
    const int repeats = static_cast<int>(std::max(1.0, 2e9 / flops));
    double best = 1e9, bestOfPeer = 1e9, off = 0;
    for (int round = 0; round < 9; ++round) {
      bestOfPeer = std::min(bestOfPeer, secondsOf(repeats, peer));
      best = std::min(best, secondsOf(repeats, ours));
    }
    for (size_t i = 0; i < own.size(); ++i) off = std::max(off, static_cast<double>(std::fabs(own[i] - other[i])));
    std::printf("%-28s oneDNN %7.1f  engine %7.1f GFLOP/s  %.2f times  largest difference %.1e\n", s.what,
                1e-9 * flops / bestOfPeer, 1e-9 * flops / best, bestOfPeer / best, off);
  }
}
