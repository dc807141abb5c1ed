#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <memory>
#include <string>

#include "native/core/tensor.h"
#include "native/math/activation_kind.h"

namespace hint::cuda {

/// A row-major matrix on the device: distance between its rows as stored, and whether the product reads it transposed.
struct Matrix {
  const void* data;
  DType dtype;  ///< f32 or bf16
  int64_t stride;
  bool transposed = false;
};

/// C = alpha * op(A) * op(B) + beta * C with f32 accumulation, without TF32: through cuBLASLt when it can be loaded and
/// accepts the product, otherwise through groupedGemm. op(A) is [m, k], op(B) is [k, n]; A and B have one dtype, C f32
/// or the same.
class Gemm {
 public:
  Gemm();
  ~Gemm();
  void run(int64_t m, int64_t n, int64_t k, float alpha, const Matrix& a, const Matrix& b, float beta, void* c,
           DType cType, int64_t cStride);

 private:
  class Library;
  std::unique_ptr<Library> library_;
};

/// "cuBLASLt 13.1.0", or a clause that says why it is not used. Loads the library.
std::string gemmLibrary();

/// Products of many groups in one launch. Group g multiplies rows rowOffsets[g]..rowOffsets[g+1] of the ragged side:
///   raggedRows (M):  C[rows, n] = op(A)[rows, k] B_g[k, n]
///   raggedDepth (K): C_g[m, n] = A[rows, m]^T B[rows, n]
/// `bStep` and `cStep` are elements between the matrices of successive groups. Each result is
///   C = beta * C + residual + activation(alpha * product + bias)
/// and the argument of the activation is stored in `preActivation`; null tensors are left out. Bias [groups, n] has A's
/// dtype and `biasStep` elements between groups. Residual and preActivation have the layout of C, and preActivation has
/// its dtype. Products of bf16 run on tensor cores where sizes and addresses are multiples of eight elements.
struct GroupedGemm {
  enum class Ragged { rows, depth } ragged = Ragged::rows;
  int64_t m, n, k;  ///< the ragged one is that of the largest group
  int64_t groups = 1;
  const int32_t* rowOffsets = nullptr;  ///< on the device; null: one group of all rows
  /// For ragged rows: the number of tiles of 64 and of 128 rows that cover all groups; 0 when the host does not know
  /// it.
  int64_t tilesOf64 = 0, tilesOf128 = 0;
  Matrix a, b;
  int64_t bStep = 0, cStep = 0;
  void* c;
  DType cType;
  int64_t cStride;
  float alpha = 1, beta = 0;
  const void *bias = nullptr, *residual = nullptr;
  DType residualType = DType::f32;
  int64_t biasStep = 0;
  void* preActivation = nullptr;
  Activation activation = Activation::none;
};
void groupedGemm(const GroupedGemm& problem);

}  // namespace hint::cuda
