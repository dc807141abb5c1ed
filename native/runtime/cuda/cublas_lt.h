#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <string>

/// The part of cuBLASLt that the engine uses, declared by hand. The real header comes with half a gigabyte of library,
/// and code that includes it could be compiled and tested on few machines only. native/tests/cublas_lt_check.cc
/// compares these declarations with the real header where it is installed. cuBLASLt is column-major: a matrix is [rows,
/// columns] with `leading` elements from one column to the next.
namespace hint::cuda::lt {

using Handle = struct HandleData*;
using Description = struct DescriptionData*;
using Layout = struct LayoutData*;
using Preference = struct PreferenceData*;

/// cublasStatus_t
using Status = int;
constexpr Status kSuccess = 0;
/// cublasComputeType_t: products and sums in f32, without TF32
constexpr int kCompute32F = 68;
/// cublasOperation_t
constexpr int kAsStored = 0, kTransposed = 1;
/// cublasLtMatmulDescAttributes_t
constexpr int kTransposeA = 3, kTransposeB = 4;
/// cublasLtMatmulPreferenceAttributes_t
constexpr int kMaxWorkspace = 1, kMinAlignmentA = 5, kMinAlignmentB = 6, kMinAlignmentC = 7, kMinAlignmentD = 8;

struct Algorithm {
  uint64_t data[8];
};

struct Heuristic {
  Algorithm algorithm;
  size_t workspace;  ///< bytes that the algorithm needs
  Status state;
  float waves;
  int reserved[4];
};

struct Functions {
  Status (*create)(Handle*);
  Status (*destroy)(Handle);
  size_t (*version)();
  Status (*describe)(Description*, int compute, cudaDataType scale);
  Status (*forgetDescription)(Description);
  Status (*setDescription)(Description, int attribute, const void* value, size_t bytes);
  Status (*layOut)(Layout*, cudaDataType type, uint64_t rows, uint64_t columns, int64_t leading);
  Status (*forgetLayout)(Layout);
  Status (*prefer)(Preference*);
  Status (*forgetPreference)(Preference);
  Status (*setPreference)(Preference, int attribute, const void* value, size_t bytes);
  Status (*choose)(Handle, Description, Layout a, Layout b, Layout c, Layout d, Preference, int most, Heuristic* found,
                   int* count);
  /// D = alpha * op(A) * op(B) + beta * C
  Status (*multiply)(Handle, Description, const void* alpha, const void* a, Layout aLayout, const void* b,
                     Layout bLayout, const void* beta, const void* c, Layout cLayout, void* d, Layout dLayout,
                     const Algorithm*, void* workspace, size_t workspaceBytes, cudaStream_t);
};

/// FUNCTION(member of Functions, name in the library behind "cublasLt")
#define HINT_CUBLAS_LT_FUNCTIONS(FUNCTION)              \
  FUNCTION(create, Create)                              \
  FUNCTION(destroy, Destroy)                            \
  FUNCTION(version, GetVersion)                         \
  FUNCTION(describe, MatmulDescCreate)                  \
  FUNCTION(forgetDescription, MatmulDescDestroy)        \
  FUNCTION(setDescription, MatmulDescSetAttribute)      \
  FUNCTION(layOut, MatrixLayoutCreate)                  \
  FUNCTION(forgetLayout, MatrixLayoutDestroy)           \
  FUNCTION(prefer, MatmulPreferenceCreate)              \
  FUNCTION(forgetPreference, MatmulPreferenceDestroy)   \
  FUNCTION(setPreference, MatmulPreferenceSetAttribute) \
  FUNCTION(choose, MatmulAlgoGetHeuristic)              \
  FUNCTION(multiply, Matmul)

/// cuBLASLt, opened at run time; it is never closed.
struct Library {
  bool ready = false;
  std::string text;  ///< "cuBLASLt 13.1.0", or a clause that says why it is not used
  Functions functions = {};
};

/// Loads the library at the path in HINT_CUBLASLT, otherwise the first of this build's names that is found.
const Library& library();

}  // namespace hint::cuda::lt
