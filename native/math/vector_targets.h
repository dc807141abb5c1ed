#pragma once

#include "native/runtime/parallel.h"

/// Kernels whose shape, not only whose code, differs between instruction sets: they are templates of a vector type, and
/// compiled once for each width of registers. HINT_CLONES is for all others.
namespace hint {

/// Vectors as wide as the registers of each instruction set.
typedef float Vector16 __attribute__((vector_size(64)));
typedef float Vector8 __attribute__((vector_size(32)));
typedef float Vector4 __attribute__((vector_size(16)));

typedef uint32_t Bits16 __attribute__((vector_size(64)));
typedef uint32_t Bits8 __attribute__((vector_size(32)));
typedef uint32_t Bits4 __attribute__((vector_size(16)));
typedef uint16_t Halves16 __attribute__((vector_size(32)));
typedef uint16_t Halves8 __attribute__((vector_size(16)));
typedef uint16_t Halves4 __attribute__((vector_size(8)));

template <typename Vector>
constexpr int vectorLanes = sizeof(Vector) / sizeof(float);

// memcpy, because rows have no alignment, which a cast would promise.
template <typename Vector>
HINT_INLINE void loadVector(Vector& x, const float* from) {
  __builtin_memcpy(&x, from, sizeof x);
}
/// From bf16 values. `Halves` and `Bits` have as many integers as the vector has values: GCC takes no vector size that
/// depends on a template's argument.
template <typename Halves, typename Bits, typename Vector>
HINT_INLINE void loadHalves(Vector& x, const uint16_t* from) {
  Halves halves;
  __builtin_memcpy(&halves, from, sizeof halves);
  x = reinterpret_cast<Vector>(__builtin_convertvector(halves, Bits) << 16);
}
HINT_INLINE void loadVector(Vector16& x, const uint16_t* from) { loadHalves<Halves16, Bits16>(x, from); }
HINT_INLINE void loadVector(Vector8& x, const uint16_t* from) { loadHalves<Halves8, Bits8>(x, from); }
HINT_INLINE void loadVector(Vector4& x, const uint16_t* from) { loadHalves<Halves4, Bits4>(x, from); }
template <typename Vector>
HINT_INLINE void storeVector(const Vector& x, float* to) {
  __builtin_memcpy(to, &x, sizeof x);
}

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define HINT_HAS_TARGETS 1
#define HINT_TARGET_8 __attribute__((target("avx2,fma")))
#define HINT_TARGET_16 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,fma")))
#endif

}  // namespace hint
