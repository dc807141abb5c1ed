// Compares the hand-written declarations of native/runtime/cuda/cublas_lt.h with the real header, where that is
// installed. A difference is a compile error; the file is not linked.
#include <cublasLt.h>

#include <type_traits>

#include "native/runtime/cuda/cublas_lt.h"

namespace hint::cuda::lt {
namespace {

/// Whether both types are passed in the same way: both are pointers, or both are integers or enumerations of one size.
template <typename Ours, typename Theirs>
constexpr bool alike =
    std::is_pointer_v<Ours> ? std::is_pointer_v<Theirs>
                            : !std::is_pointer_v<Theirs> && !std::is_class_v<Theirs> && sizeof(Ours) == sizeof(Theirs);

template <typename Ours, typename Theirs>
struct SameCall : std::false_type {};
template <typename... Ours, typename... Theirs, typename OurResult, typename TheirResult>
requires(sizeof...(Ours) == sizeof...(Theirs)) struct SameCall<OurResult (*)(Ours...), TheirResult (*)(Theirs...)>
    : std::bool_constant<alike<OurResult, TheirResult> && (alike<Ours, Theirs> && ...)> {
};

#define HINT_CHECK(member, name) \
  static_assert(SameCall<decltype(Functions::member), decltype(&cublasLt##name)>::value, #name);
HINT_CUBLAS_LT_FUNCTIONS(HINT_CHECK)
#undef HINT_CHECK

static_assert(kSuccess == static_cast<int>(CUBLAS_STATUS_SUCCESS));
static_assert(kCompute32F == static_cast<int>(CUBLAS_COMPUTE_32F));
static_assert(kAsStored == static_cast<int>(CUBLAS_OP_N) && kTransposed == static_cast<int>(CUBLAS_OP_T));
static_assert(kTransposeA == static_cast<int>(CUBLASLT_MATMUL_DESC_TRANSA));
static_assert(kTransposeB == static_cast<int>(CUBLASLT_MATMUL_DESC_TRANSB));
static_assert(kMaxWorkspace == static_cast<int>(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES));
static_assert(kMinAlignmentA == static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES));
static_assert(kMinAlignmentB == static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES));
static_assert(kMinAlignmentC == static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES));
static_assert(kMinAlignmentD == static_cast<int>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES));

static_assert(sizeof(Algorithm) == sizeof(cublasLtMatmulAlgo_t));
using Theirs = cublasLtMatmulHeuristicResult_t;
static_assert(sizeof(Heuristic) == sizeof(Theirs) && alignof(Heuristic) == alignof(Theirs));
static_assert(offsetof(Heuristic, algorithm) == offsetof(Theirs, algo));
static_assert(offsetof(Heuristic, workspace) == offsetof(Theirs, workspaceSize));
static_assert(offsetof(Heuristic, state) == offsetof(Theirs, state));
static_assert(offsetof(Heuristic, waves) == offsetof(Theirs, wavesCount));

}  // namespace
}  // namespace hint::cuda::lt
