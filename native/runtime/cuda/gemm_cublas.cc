#include <map>
#include <mutex>
#include <sstream>
#include <tuple>

#include "native/runtime/cuda/context.h"
#include "native/runtime/cuda/cublas_lt.h"
#include "native/runtime/cuda/gemm.h"
#include "native/runtime/cuda/notice.h"

namespace hint::cuda {
namespace {

const lt::Functions& call() { return lt::library().functions; }

/// Thrown within this file when cuBLASLt refuses a product, which groupedGemm then computes.
struct Refused {
  const char* what;
  lt::Status status;
};

void ok(lt::Status status, const char* what) {
  if (status != lt::kSuccess) throw Refused{what, status};
}

cudaDataType typeOf(DType dtype) { return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

/// The largest power of two, at most 256, that divides an address.
uint32_t alignmentOf(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer) | 256;
  return static_cast<uint32_t>(address & (~address + 1));
}

/// The algorithm that was chosen for a product, or the fact that cuBLASLt refuses it.
struct Plan {
  lt::Description description = nullptr;
  lt::Layout a = nullptr, b = nullptr, c = nullptr;
  lt::Algorithm algorithm = {};
  bool refused = false;

  Plan() = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    for (lt::Layout layout : {a, b, c})
      if (layout) call().forgetLayout(layout);
    if (description) call().forgetDescription(description);
  }
};

constexpr size_t kWorkspace = size_t{32} << 20;
/// The most plans that are kept: ragged batches bring ever new numbers of rows.
constexpr size_t kPlans = 4096;

void sayRefused(const Refused& refused, const std::string& product) {
  static std::once_flag said;
  std::ostringstream sentence;
  sentence << lt::library().text << " failed to " << refused.what << product << " (status " << refused.status
           << "); the engine's own, slower kernel does this and what else is refused.";
  sayOnce(said, sentence.str());
}

}  // namespace

class Gemm::Library {
 public:
  /// Null when cuBLASLt is not found or cannot be used.
  static std::unique_ptr<Library> open() {
    if (!lt::library().ready) return nullptr;
    auto library = std::make_unique<Library>();
    const lt::Status status = call().create(&library->handle_);
    if (status == lt::kSuccess) return library;
    library->handle_ = nullptr;
    sayRefused({"start", status}, "");
    cudaGetLastError();
    return nullptr;
  }
  ~Library() {
    plans_.clear();
    if (handle_) call().destroy(handle_);
  }

  /// Returns false, and computes nothing, when cuBLASLt refuses the product.
  bool run(int64_t m, int64_t n, int64_t k, float alpha, const Matrix& a, const Matrix& b, float beta, void* c,
           DType cType, int64_t cStride) {
    const Key key(m, n, k, a.transposed, b.transposed, a.dtype, cType, a.stride, b.stride, cStride, beta == 0.0f,
                  alignmentOf(a.data), alignmentOf(b.data), alignmentOf(c));
    Plan& plan = planOf(key);
    if (plan.refused) return false;
    void* workspace = Context::current().productWorkspace(kWorkspace);
    try {
      // cuBLASLt is column-major: C^T = op(B)^T op(A)^T, so B is the first operand.
      ok(call().multiply(handle_, plan.description, &alpha, b.data, plan.a, a.data, plan.b, &beta, c, plan.c, c, plan.c,
                         &plan.algorithm, workspace, kWorkspace, Context::current().stream()),
         "compute");
      return true;
    } catch (const Refused& refused) {
      refuse(plan, key, refused);
      return false;
    }
  }

 private:
  using Key = std::tuple<int64_t, int64_t, int64_t, bool, bool, DType, DType, int64_t, int64_t, int64_t, bool, uint32_t,
                         uint32_t, uint32_t>;

  Plan& planOf(const Key& key) {
    const auto found = plans_.find(key);
    if (found != plans_.end()) return *found->second;
    if (plans_.size() >= kPlans) plans_.clear();
    Plan& plan = *(plans_[key] = std::make_unique<Plan>());
    try {
      prepare(plan, key);
    } catch (const Refused& refused) {
      refuse(plan, key, refused);
    }
    return plan;
  }

  static void refuse(Plan& plan, const Key& key, const Refused& refused) {
    plan.refused = true;
    // Clears the error, or the next launch would report it.
    cudaGetLastError();
    std::ostringstream product;
    product << " a product of [" << std::get<0>(key) << ", " << std::get<2>(key) << "] and [" << std::get<2>(key)
            << ", " << std::get<1>(key) << "]";
    sayRefused(refused, product.str());
  }

  void prepare(Plan& plan, const Key& key) {
    const auto& [m, n, k, transposeA, transposeB, type, cType, aStride, bStride, cStride, overwrite, alignA, alignB,
                 alignC] = key;
    const char* what = "describe";
    ok(call().describe(&plan.description, lt::kCompute32F, CUDA_R_32F), what);
    const int32_t first = transposeB ? lt::kTransposed : lt::kAsStored;
    const int32_t second = transposeA ? lt::kTransposed : lt::kAsStored;
    ok(call().setDescription(plan.description, lt::kTransposeA, &first, sizeof first), what);
    ok(call().setDescription(plan.description, lt::kTransposeB, &second, sizeof second), what);
    ok(call().layOut(&plan.a, typeOf(type), static_cast<uint64_t>(transposeB ? k : n),
                     static_cast<uint64_t>(transposeB ? n : k), bStride),
       what);
    ok(call().layOut(&plan.b, typeOf(type), static_cast<uint64_t>(transposeA ? m : k),
                     static_cast<uint64_t>(transposeA ? k : m), aStride),
       what);
    ok(call().layOut(&plan.c, typeOf(cType), static_cast<uint64_t>(n), static_cast<uint64_t>(m), cStride), what);
    lt::Preference chosen = nullptr;
    ok(call().prefer(&chosen), what);
    const std::unique_ptr<std::remove_pointer_t<lt::Preference>, lt::Status (*)(lt::Preference)> preference(
        chosen, call().forgetPreference);
    const auto set = [&](int attribute, const auto& value) {
      ok(call().setPreference(chosen, attribute, &value, sizeof value), what);
    };
    set(lt::kMaxWorkspace, kWorkspace);
    set(lt::kMinAlignmentA, alignB);
    set(lt::kMinAlignmentB, alignA);
    set(lt::kMinAlignmentC, alignC);
    set(lt::kMinAlignmentD, alignC);
    what = "choose an algorithm for";
    lt::Heuristic result = {};
    int found = 0;
    ok(call().choose(handle_, plan.description, plan.a, plan.b, plan.c, plan.c, chosen, 1, &result, &found), what);
    ok(result.state, what);
    if (found == 0) throw Refused{what, lt::kSuccess};
    plan.algorithm = result.algorithm;
  }

  lt::Handle handle_ = nullptr;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

std::string gemmLibrary() { return lt::library().text; }

Gemm::Gemm() : library_(Library::open()) {}
Gemm::~Gemm() = default;

void Gemm::run(int64_t m, int64_t n, int64_t k, float alpha, const Matrix& a, const Matrix& b, float beta, void* c,
               DType cType, int64_t cStride) {
  if (m == 0 || n == 0) return;
  if (library_ && k > 0 && library_->run(m, n, k, alpha, a, b, beta, c, cType, cStride)) return;
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
