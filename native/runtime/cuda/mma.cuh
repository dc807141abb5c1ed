#pragma once

#include "native/runtime/cuda/device.cuh"

/// The tensor cores' instructions of sm_80 and later, each as a function. No other file has PTX. All threads of a warp
/// must call them together. fragments.cuh says which lane holds which element. The emulator has its own version of this
/// header.
///
/// wgmma, sm_90's own, would read both operands from shared memory and reach a higher rate; it has no sm_80 form.
namespace hint::cuda {

/// Loads four 8x8 matrices from shared memory: lane l gives the address of row l % 8 of matrix l / 8, a multiple of 16
/// bytes, and gets two consecutive elements, 2 (l % 4) and the next, of row l / 4 of each.
__device__ inline void loadMatrices(uint32_t (&to)[4], const bf16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
}

/// The same of the transposed matrices: element l / 4 of row 2 (l % 4) and of the row below.
__device__ inline void loadTransposed(uint32_t (&to)[4], const bf16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
}

/// c [16, 8] += a [16, 16] b [16, 8] in f32.
__device__ inline void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Begins to copy 16 bytes into shared memory without registers and L1; writes zeros when not `present`. `from` must be
/// a valid address in both cases.
__device__ inline void copyAsync(void* to, const void* from, bool present) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(to))),
      "l"(__cvta_generic_to_global(from)), "r"(present ? 16 : 0)
      : "memory");
}
/// Ends a group of this thread's copies.
__device__ inline void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most kPending of this thread's groups are unfinished. For copies of other threads, a barrier must
/// follow.
template <int kPending>
__device__ inline void awaitCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace hint::cuda
