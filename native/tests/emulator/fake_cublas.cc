// cuBLASLt over host memory, as far as the engine calls it: the CUDA back end in the emulator opens it through
// HINT_CUBLASLT. It checks every product as the real library does, and refuses a wrong shape, stride or alignment.
#include "native/tests/emulator/fake_cublas.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <type_traits>

#include "native/runtime/cuda/cublas_lt.h"
#include "native/tests/emulator/stream.h"

namespace hint::cuda::lt {

struct HandleData {};
struct DescriptionData {
  std::map<int, int32_t> attributes;
};
struct LayoutData {
  cudaDataType type;
  uint64_t rows, columns;
  int64_t leading;
};
struct PreferenceData {
  std::map<int, uint64_t> attributes;
};

namespace {

constexpr Status kInvalid = 7, kNotSupported = 15, kNotInitialized = 1, kExecutionFailed = 13;

FakeCublas state;

double valueOf(const void* data, cudaDataType type, int64_t at) {
  float value;
  if (type == CUDA_R_32F) {
    std::memcpy(&value, static_cast<const float*>(data) + at, sizeof value);
  } else {
    const uint32_t bits = uint32_t{static_cast<const uint16_t*>(data)[at]} << 16;
    std::memcpy(&value, &bits, sizeof value);
  }
  return static_cast<double>(value);
}

void store(void* data, cudaDataType type, int64_t at, float value) {
  if (type == CUDA_R_32F) {
    static_cast<float*>(data)[at] = value;
    return;
  }
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits += 0x7FFF + (bits >> 16 & 1);  // to the nearest, ties to even
  static_cast<uint16_t*>(data)[at] = static_cast<uint16_t>(bits >> 16);
}

/// A matrix operand of the product.
struct Operand {
  const void* data;
  LayoutData layout;
  bool transposed;
  uint64_t rows() const { return transposed ? layout.columns : layout.rows; }
  uint64_t columns() const { return transposed ? layout.rows : layout.columns; }
  double at(uint64_t row, uint64_t column) const {
    if (transposed) std::swap(row, column);
    return valueOf(data, layout.type, static_cast<int64_t>(row) + static_cast<int64_t>(column) * layout.leading);
  }
};

/// d = factor * left * right + kept * d.
void multiply(const Operand& left, const Operand& right, float factor, float kept, void* d, const LayoutData& result) {
  for (uint64_t column = 0; column < result.columns; ++column)
    for (uint64_t row = 0; row < result.rows; ++row) {
      double sum = 0;
      for (uint64_t depth = 0; depth < left.columns(); ++depth) sum += left.at(row, depth) * right.at(depth, column);
      const int64_t at = static_cast<int64_t>(row) + static_cast<int64_t>(column) * result.leading;
      // With a factor of 0 the old value is not read, because it may be uninitialised.
      const double before = kept == 0 ? 0 : static_cast<double>(kept) * valueOf(d, result.type, at);
      store(d, result.type, at, static_cast<float>(static_cast<double>(factor) * sum + before));
    }
}

/// The emulator's function that queues work on a stream or captures it; null when the loaded library is not the
/// emulator's.
decltype(&hint_emulator_queue) queueOfEmulator() {
  void* library = dlopen(HINT_EMULATED, RTLD_NOW | RTLD_NOLOAD);
  return library ? reinterpret_cast<decltype(&hint_emulator_queue)>(dlsym(library, "hint_emulator_queue")) : nullptr;
}

}  // namespace

#define HINT_EXPORTED extern "C" __attribute__((visibility("default")))

HINT_EXPORTED Status cublasLtCreate(Handle* handle) {
  if (state.refusesToStart) return kNotInitialized;
  *handle = new HandleData;
  return kSuccess;
}
HINT_EXPORTED Status cublasLtDestroy(Handle handle) {
  delete handle;
  return kSuccess;
}
HINT_EXPORTED size_t cublasLtGetVersion() { return 130000; }

HINT_EXPORTED Status cublasLtMatmulDescCreate(Description* description, int compute, cudaDataType scale) {
  if (compute != kCompute32F || scale != CUDA_R_32F) return kInvalid;
  *description = new DescriptionData;
  return kSuccess;
}
HINT_EXPORTED Status cublasLtMatmulDescDestroy(Description description) {
  delete description;
  return kSuccess;
}
HINT_EXPORTED Status cublasLtMatmulDescSetAttribute(Description description, int attribute, const void* value,
                                                    size_t bytes) {
  if (bytes != sizeof(int32_t)) return kInvalid;
  std::memcpy(&description->attributes[attribute], value, bytes);
  return kSuccess;
}

HINT_EXPORTED Status cublasLtMatrixLayoutCreate(Layout* layout, cudaDataType type, uint64_t rows, uint64_t columns,
                                                int64_t leading) {
  if (leading < static_cast<int64_t>(rows)) return kInvalid;
  ++state.layouts;
  *layout = new LayoutData{type, rows, columns, leading};
  return kSuccess;
}
HINT_EXPORTED Status cublasLtMatrixLayoutDestroy(Layout layout) {
  --state.layouts;
  delete layout;
  return kSuccess;
}

HINT_EXPORTED Status cublasLtMatmulPreferenceCreate(Preference* preference) {
  *preference = new PreferenceData;
  return kSuccess;
}
HINT_EXPORTED Status cublasLtMatmulPreferenceDestroy(Preference preference) {
  delete preference;
  return kSuccess;
}
HINT_EXPORTED Status cublasLtMatmulPreferenceSetAttribute(Preference preference, int attribute, const void* value,
                                                          size_t bytes) {
  if (bytes != (attribute == kMaxWorkspace ? sizeof(uint64_t) : sizeof(uint32_t))) return kInvalid;
  std::memcpy(&preference->attributes[attribute], value, bytes);
  return kSuccess;
}

HINT_EXPORTED Status cublasLtMatmulAlgoGetHeuristic(Handle, Description, Layout, Layout, Layout, Layout,
                                                    Preference preference, int most, Heuristic* found, int* count) {
  ++state.choices;
  *count = 0;
  if (most < 1 || preference->attributes.size() != 5) return kInvalid;
  if (state.hasNoAlgorithm) return kNotSupported;
  *found = {};
  // The alignments that the algorithm was chosen for.
  for (int attribute = kMinAlignmentA; attribute <= kMinAlignmentD; ++attribute)
    found->algorithm.data[attribute - kMinAlignmentA] = preference->attributes.at(attribute);
  *count = 1;
  return kSuccess;
}

HINT_EXPORTED Status cublasLtMatmul(Handle, Description description, const void* alpha, const void* a, Layout aLayout,
                                    const void* b, Layout bLayout, const void* beta, const void* c, Layout cLayout,
                                    void* d, Layout dLayout, const Algorithm* algorithm, void* workspace,
                                    size_t workspaceBytes, cudaStream_t stream) {
  if (state.refusesToMultiply) return kExecutionFailed;
  const Operand left{a, *aLayout, description->attributes[kTransposeA] == kTransposed};
  const Operand right{b, *bLayout, description->attributes[kTransposeB] == kTransposed};
  if (c != d || cLayout != dLayout || left.rows() != dLayout->rows || right.columns() != dLayout->columns ||
      left.columns() != right.rows() || aLayout->type != bLayout->type || !workspace)
    return kInvalid;
  const auto queue = queueOfEmulator();
  if (!queue) return kExecutionFailed;
  const void* addresses[] = {a, b, c, d};
  for (int i = 0; i < 4; ++i)
    if (reinterpret_cast<uintptr_t>(addresses[i]) % algorithm->data[i] != 0) return kInvalid;
  state.workspaces.insert(workspace);
  float factor, kept;
  std::memcpy(&factor, alpha, sizeof factor);
  std::memcpy(&kept, beta, sizeof kept);
  const LayoutData result = *dLayout;
  queue(stream, [=] {
    // Overwritten, because a product must not read the partial sums of another.
    std::memset(workspace, 0xFF, std::min(workspaceBytes, size_t{4096}));
    multiply(left, right, factor, kept, d, result);
    __atomic_fetch_add(&state.products, 1, __ATOMIC_RELAXED);
  });
  return kSuccess;
}

#define HINT_CHECK(member, name) static_assert(std::is_same_v<decltype(Functions::member), decltype(&cublasLt##name)>);
HINT_CUBLAS_LT_FUNCTIONS(HINT_CHECK)
#undef HINT_CHECK

}  // namespace hint::cuda::lt

HINT_EXPORTED FakeCublas* hint_fake_cublas() { return &hint::cuda::lt::state; }
