#pragma once

#include "native/runtime/cuda/device.cuh"

namespace hint::cuda {

/// Whether `address` allows loads and stores of 16 bytes.
inline bool isAligned(const void* address) { return reinterpret_cast<uintptr_t>(address) % 16 == 0; }

/// Eight consecutive elements at a 16-byte aligned address.
struct Eight {
  float v[8];
};
__device__ inline Eight loadEight(const bf16* from) {
  const uint4 bits = *reinterpret_cast<const uint4*>(from);
  bf16 values[8];
  memcpy(values, &bits, sizeof bits);
  Eight result;
#pragma unroll
  for (int i = 0; i < 8; ++i) result.v[i] = __bfloat162float(values[i]);
  return result;
}
__device__ inline Eight loadEight(const float* from) {
  const float4 low = *reinterpret_cast<const float4*>(from), high = *reinterpret_cast<const float4*>(from + 4);
  return {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
}
__device__ inline void putEight(bf16* to, const Eight& value) {
  __nv_bfloat162 pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) pairs[i] = __floats2bfloat162_rn(value.v[2 * i], value.v[2 * i + 1]);
  uint4 bits;
  memcpy(&bits, pairs, sizeof bits);
  *reinterpret_cast<uint4*>(to) = bits;
}
__device__ inline void putEight(float* to, const Eight& value) {
  *reinterpret_cast<float4*>(to) = make_float4(value.v[0], value.v[1], value.v[2], value.v[3]);
  *reinterpret_cast<float4*>(to + 4) = make_float4(value.v[4], value.v[5], value.v[6], value.v[7]);
}

}  // namespace hint::cuda
