#pragma once

#include <cstdint>

#include "native/core/tensor.h"

/// Products of panels. Those of bf16 and 8-bit integers are made by the processor's dot product instructions: AMX where
/// it has tiles, else AVX512-BF16 and VNNI. These take four bytes at a time along k: two bf16 values, or four integers.
/// Of f32 values they are one, and any processor multiplies them.
namespace hint {

/// The order of a matrix [k, n] of f32, bf16 or i8 as the kernels read it: panels of kColumns columns, each in steps of
/// 64 bytes along k. A step has sixteen groups of four bytes along k, and each group has the columns one after the
/// other. Columns and k are filled up with zeros.
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

/// Most rows that a kernel multiplies at a time, and the multiple of rows that one of bf16 or i8 reads.
constexpr int64_t kMostDotRows = 36, kDotRowsRead = 16;

/// Rows that a kernel multiplies at a time: two tiles of AMX, or whole tiles of registers.
constexpr int64_t dotRows(DType dtype) { return dtype == DType::f32 ? kMostDotRows : 32; }

/// Bytes from one row of a left factor to the next: whole steps, an odd number of them, so that the rows of a tile do
/// not fall into the same places of a cache.
constexpr int64_t dotRowBytes(int64_t steps) { return (steps | 1) * DotPanels::kStepBytes; }

/// Left rows [rows, steps * 64 bytes], of which `rows` up to dotRows() count; of bf16 and i8, memory for the next
/// multiple of kDotRowsRead must be readable. Of f32 rows no more than k values are read.
struct DotRows {
  const void* values;
  int64_t rowBytes, rows;
};

/// What will be read after a product: tiles of AMX ask for it while they multiply, some lines with each step.
struct DotAhead {
  const void* values = nullptr;
  int64_t bytesPerStep = 0;
};

/// The kernels of this processor for the panels of a matrix. Left values of an i8 product are unsigned.
class DotKernel {
 public:
  explicit DotKernel(const DotPanels& panels);
  /// Frees what the kernel took of the calling thread.
  ~DotKernel();
  DotKernel(const DotKernel&) = delete;
  DotKernel& operator=(const DotKernel&) = delete;

  /// sums[row * width + column] = left · panel for the kColumns columns of one panel, i32 for i8 and else f32. Up to
  /// dotRows() rows of sums are written. Each sum is made in the order of k, whatever the number of rows.
  void multiply(const DotRows& left, const void* panel, void* sums, int64_t width, const DotAhead& ahead = {}) const {
    multiply_(left, panel, along_, sums, width, ahead);
  }

 private:
  void (*multiply_)(const DotRows& left, const void* panel, int64_t along, void* sums, int64_t width,
                    const DotAhead& ahead);
  int64_t along_;  ///< steps; of f32, values
  bool usesTiles_;
};

/// Whether the processor has such instructions, and HINT_MAX_ISA admits them. Always for f32.
bool hasDotProducts(DType dtype);

}  // namespace hint
