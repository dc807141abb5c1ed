#pragma once

#include <cstdint>

#include "native/core/tensor.h"

/// Products of bf16 or 8-bit integers by the processor's dot product instructions: AMX where it has tiles, else
/// AVX512-BF16 and VNNI. These take four bytes at a time along k: two bf16 values, or four integers.
namespace hint {

/// The order of a matrix [k, n] of bf16 or i8 as the kernels read it: panels of kColumns columns, each in steps of 64
/// bytes along k. A step has sixteen groups of four bytes along k, and each group has the columns one after the other.
/// Columns and k are filled up with zeros.
struct DotPanels {
  static constexpr int64_t kColumns = 32, kStepBytes = 64, kGroupBytes = 4, kGroups = kStepBytes / kGroupBytes;

  int64_t k;
  DType dtype;

  /// Values along k of a group and of a step.
  int64_t group() const { return kGroupBytes / static_cast<int64_t>(sizeOf(dtype)); }
  int64_t step() const { return kStepBytes / static_cast<int64_t>(sizeOf(dtype)); }
  int64_t steps() const { return (k + step() - 1) / step(); }
  int64_t panelBytes() const { return checkedProduct(steps(), kStepBytes * kColumns); }
  int64_t bytes(int64_t n) const { return checkedProduct((n + kColumns - 1) / kColumns, panelBytes()); }
};

/// Rows that a kernel multiplies at a time, and the multiple of rows that it reads.
constexpr int64_t kDotRows = 32, kDotRowsRead = 16;

/// Bytes from one row of a left factor to the next: whole steps, an odd number of them, so that the rows of a tile do
/// not fall into the same places of a cache.
constexpr int64_t dotRowBytes(int64_t steps) { return (steps | 1) * DotPanels::kStepBytes; }

/// Left rows [rows, steps * 64 bytes], of which `rows` up to kDotRows count; memory for the next multiple of
/// kDotRowsRead must be readable.
struct DotRows {
  const void* values;
  int64_t rowBytes, rows;
};

/// The kernels of this processor for one dtype, bf16 or i8. Left values of an i8 product are unsigned.
class DotKernel {
 public:
  explicit DotKernel(DType dtype);
  /// Frees what the kernel took of the calling thread.
  ~DotKernel();
  DotKernel(const DotKernel&) = delete;
  DotKernel& operator=(const DotKernel&) = delete;

  /// sums[row * width + column] = left · panel for the kColumns columns of one panel, f32 for bf16 and i32 for i8. Up
  /// to kDotRows rows of sums are written. Each sum is made in the order of k, whatever the number of rows.
  void multiply(const DotRows& left, const void* panel, int64_t steps, void* sums, int64_t width) const {
    multiply_(left, panel, steps, sums, width);
  }

 private:
  void (*multiply_)(const DotRows& left, const void* panel, int64_t steps, void* sums, int64_t width);
  bool usesTiles_;
};

/// f32 to bf16 as toBf16 does it, but for values below the smallest normal one, which the products take for 0 anyway.
/// Needs hasDotProducts(bf16).
void roundToHalves(const float* x, int64_t count, uint16_t* to);

/// Whether the processor has such instructions, and oneDNN's limit (ONEDNN_MAX_CPU_ISA) admits them.
bool hasDotProducts(DType dtype);

}  // namespace hint
