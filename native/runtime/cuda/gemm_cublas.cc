#include <dlfcn.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

#include "native/runtime/cuda/context.h"
#include "native/runtime/cuda/gemm.h"

#ifdef HINT_CUBLAS
#include <cublasLt.h>
#endif

namespace hint::cuda {

#ifdef HINT_CUBLAS

namespace {

/// cuBLASLt, opened at run time: it is half a gigabyte that machines without a GPU do not have.
struct Symbols {
  bool ready = false;
  std::string text;
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtDestroy) destroy;
  decltype(&cublasLtGetVersion) version;
  decltype(&cublasLtMatmulDescCreate) descCreate;
  decltype(&cublasLtMatmulDescDestroy) descDestroy;
  decltype(&cublasLtMatmulDescSetAttribute) descSet;
  decltype(&cublasLtMatrixLayoutCreate) layoutCreate;
  decltype(&cublasLtMatrixLayoutDestroy) layoutDestroy;
  decltype(&cublasLtMatmulPreferenceCreate) preferenceCreate;
  decltype(&cublasLtMatmulPreferenceDestroy) preferenceDestroy;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preferenceSet;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic;
  decltype(&cublasLtMatmul) matmul;

  Symbols() {
    std::vector<std::string> names;
    // An explicit path first, for machines where the library is in none of the usual places.
    if (const char* path = std::getenv("HINT_CUBLASLT")) names.emplace_back(path);
    names.insert(names.end(), {HINT_CUBLAS_LIBRARY, "libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"});
    void* handle = nullptr;
    for (const std::string& name : names)
      if (!handle) handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
      text = "cuBLASLt not found (own, slower matrix products); install it or set HINT_CUBLASLT to its path";
      return;
    }
    bool complete = true;
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
      complete = complete && function;
    };
    find(create, "cublasLtCreate");
    find(destroy, "cublasLtDestroy");
    find(version, "cublasLtGetVersion");
    find(descCreate, "cublasLtMatmulDescCreate");
    find(descDestroy, "cublasLtMatmulDescDestroy");
    find(descSet, "cublasLtMatmulDescSetAttribute");
    find(layoutCreate, "cublasLtMatrixLayoutCreate");
    find(layoutDestroy, "cublasLtMatrixLayoutDestroy");
    find(preferenceCreate, "cublasLtMatmulPreferenceCreate");
    find(preferenceDestroy, "cublasLtMatmulPreferenceDestroy");
    find(preferenceSet, "cublasLtMatmulPreferenceSetAttribute");
    find(heuristic, "cublasLtMatmulAlgoGetHeuristic");
    find(matmul, "cublasLtMatmul");
    if (!complete) {
      text = "the cuBLASLt found lacks functions (own, slower matrix products)";
      return;
    }
    const size_t number = version();
    text = "cuBLASLt " + std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." +
           std::to_string(number % 100);
    ready = true;
  }
};

const Symbols& lt() {
  // Never destroyed: compute threads may still run while the process ends.
  static const auto& symbols = *new Symbols;
  return symbols;
}

void ok(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    fail("INTERNAL", "cuBLASLt failed to ", what, " with status ", static_cast<int>(status), ".");
}

cudaDataType typeOf(DType dtype) { return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

/// The largest power of two, at most 256, that divides an address.
uint32_t alignmentOf(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer) | 256;
  return static_cast<uint32_t>(address & (~address + 1));
}

/// A product whose algorithm was chosen.
struct Plan {
  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
  cublasLtMatmulAlgo_t algorithm;

  Plan() = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    for (cublasLtMatrixLayout_t layout : {a, b, c})
      if (layout) lt().layoutDestroy(layout);
    if (desc) lt().descDestroy(desc);
  }
};

constexpr size_t kWorkspace = size_t{32} << 20;

}  // namespace

class Gemm::Library {
 public:
  Library() { ok(lt().create(&handle_), "start"); }
  ~Library() { lt().destroy(handle_); }

  void run(int64_t m, int64_t n, int64_t k, float alpha, const Matrix& a, const Matrix& b, float beta, void* c,
           DType cType, int64_t cStride) {
    const Key key(m, n, k, a.transposed, b.transposed, a.dtype, cType, a.stride, b.stride, cStride, beta == 0.0f,
                  alignmentOf(a.data), alignmentOf(b.data), alignmentOf(c));
    auto& plan = plans_[key];
    if (!plan) {
      try {
        plan = prepare(key);
      } catch (...) {
        plans_.erase(key);
        throw;
      }
    }
    const Scratch<unsigned char> workspace(kWorkspace);
    // The library thinks in columns: C^T = op(B)^T op(A)^T, so B goes first.
    ok(lt().matmul(handle_, plan->desc, &alpha, b.data, plan->a, a.data, plan->b, &beta, c, plan->c, c, plan->c,
                   &plan->algorithm, workspace.get(), kWorkspace, Context::current().stream()),
       "multiply");
  }

 private:
  using Key = std::tuple<int64_t, int64_t, int64_t, bool, bool, DType, DType, int64_t, int64_t, int64_t, bool, uint32_t,
                         uint32_t, uint32_t>;

  std::unique_ptr<Plan> prepare(const Key& key) {
    const auto& [m, n, k, transposeA, transposeB, type, cType, aStride, bStride, cStride, overwrite, alignA, alignB,
                 alignC] = key;
    auto plan = std::make_unique<Plan>();
    ok(lt().descCreate(&plan->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describe a product");
    const cublasOperation_t first = transposeB ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t second = transposeA ? CUBLAS_OP_T : CUBLAS_OP_N;
    ok(lt().descSet(plan->desc, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first), "describe a product");
    ok(lt().descSet(plan->desc, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second), "describe a product");
    ok(lt().layoutCreate(&plan->a, typeOf(type), static_cast<uint64_t>(transposeB ? k : n),
                         static_cast<uint64_t>(transposeB ? n : k), bStride),
       "describe a matrix");
    ok(lt().layoutCreate(&plan->b, typeOf(type), static_cast<uint64_t>(transposeA ? m : k),
                         static_cast<uint64_t>(transposeA ? k : m), aStride),
       "describe a matrix");
    ok(lt().layoutCreate(&plan->c, typeOf(cType), static_cast<uint64_t>(n), static_cast<uint64_t>(m), cStride),
       "describe a matrix");
    cublasLtMatmulPreference_t preference = nullptr;
    ok(lt().preferenceCreate(&preference), "state preferences");
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      ok(lt().preferenceSet(preference, attribute, &value, sizeof value), "state preferences");
    };
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspace);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignB);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignA);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignC);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignC);
    cublasLtMatmulHeuristicResult_t result = {};
    int found = 0;
    const cublasStatus_t status =
        lt().heuristic(handle_, plan->desc, plan->a, plan->b, plan->c, plan->c, preference, 1, &result, &found);
    lt().preferenceDestroy(preference);
    ok(status, "choose an algorithm");
    if (found == 0)
      fail("INTERNAL", "cuBLASLt has no algorithm for a product of [", m, ", ", k, "] and [", k, ", ", n, "].");
    plan->algorithm = result.algo;
    return plan;
  }

  cublasLtHandle_t handle_ = nullptr;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

std::string gemmLibrary() { return lt().text; }

Gemm::Gemm() : library_(lt().ready ? std::make_unique<Library>() : nullptr) {}

#else

class Gemm::Library {
 public:
  void run(int64_t, int64_t, int64_t, float, const Matrix&, const Matrix&, float, void*, DType, int64_t) {}
};

std::string gemmLibrary() { return "built without cuBLASLt (own, slower matrix products)"; }

Gemm::Gemm() = default;

#endif

Gemm::~Gemm() = default;

void Gemm::run(int64_t m, int64_t n, int64_t k, float alpha, const Matrix& a, const Matrix& b, float beta, void* c,
               DType cType, int64_t cStride) {
  if (m == 0 || n == 0) return;
  if (library_ && k > 0) {
    library_->run(m, n, k, alpha, a, b, beta, c, cType, cStride);
    return;
  }
  GroupedGemm problem;
  problem.m = m;
  problem.n = n;
  problem.k = k;
  problem.a = a;
  problem.b = b;
  problem.c = c;
  problem.cType = cType;
  problem.cStride = cStride;
  problem.alpha = alpha;
  problem.beta = beta;
  groupedGemm(problem);
}

}  // namespace hint::cuda
