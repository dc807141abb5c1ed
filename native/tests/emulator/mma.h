#pragma once

#include "native/runtime/cuda/device.cuh"

/// Replaces native/runtime/cuda/mma.cuh in the emulator: the lanes of a warp exchange their registers, and each
/// computes its part by the layouts of the PTX ISA.
namespace hint::cuda {
namespace detail {

/// The rows of the four matrices, copied when their lanes arrive.
inline const emulator::Slot* gatherRows(const bf16* row) {
  emulator::requireAligned(row);
  emulator::warpReads(row, 16);
  return emulator::gather(row, 16);
}

inline uint16_t element(const emulator::Slot& slot, unsigned index) {
  uint16_t bits;
  std::memcpy(&bits, slot.bytes + 2 * index, sizeof bits);
  return bits;
}

inline float number(uint16_t bits) {
  const uint32_t wide = uint32_t{bits} << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

}  // namespace detail

inline void loadMatrices(uint32_t (&to)[4], const bf16* row) {
  const emulator::Slot* slots = detail::gatherRows(row);
  const unsigned lane = emulator::lane();
  for (unsigned matrix = 0; matrix < 4; ++matrix)
    std::memcpy(&to[matrix], slots[8 * matrix + lane / 4].bytes + 4 * (lane % 4), 4);
}

inline void loadTransposed(uint32_t (&to)[4], const bf16* row) {
  const emulator::Slot* slots = detail::gatherRows(row);
  const unsigned lane = emulator::lane();
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    const emulator::Slot* rows = slots + 8 * matrix + 2 * (lane % 4);
    to[matrix] = detail::element(rows[0], lane / 4) | uint32_t{detail::element(rows[1], lane / 4)} << 16;
  }
}

inline void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const uint32_t registers[6] = {a[0], a[1], a[2], a[3], b0, b1};
  const emulator::Slot* slots = emulator::gather(registers, sizeof registers);
  const unsigned lane = emulator::lane();
  for (unsigned k = 0; k < 16; ++k) {
    // a: row r, column k is half k % 2 of register r / 8 + 2 (k / 8) of lane 4 (r % 8) + k % 8 / 2.
    // b: row k, column n is half k % 2 of register k / 8 of lane 4 n + k % 8 / 2.
    const unsigned pair = k % 8 / 2, half = k % 2;
    float left[2], right[2];
    for (unsigned i = 0; i < 2; ++i) {
      left[i] = detail::number(detail::element(slots[4 * (lane / 4) + pair], 2 * (i + 2 * (k / 8)) + half));
      right[i] = detail::number(detail::element(slots[4 * (2 * (lane % 4) + i) + pair], 2 * (4 + k / 8) + half));
    }
    // c: register 2 i + j is row lane / 4 + 8 i, column 2 (lane % 4) + j.
    for (unsigned i = 0; i < 2; ++i)
      for (unsigned j = 0; j < 2; ++j) c[2 * i + j] += left[i] * right[j];
  }
}

inline void copyAsync(void* to, const void* from, bool present) {
  emulator::requireAligned(to);
  emulator::requireAligned(from);
  emulator::copyAsync(to, from, present ? 16 : 0, present ? 0 : 16);
}
inline void commitCopies() { emulator::commitCopies(); }
template <int kPending>
inline void awaitCopies() {
  emulator::awaitCopies(kPending);
}

}  // namespace hint::cuda
