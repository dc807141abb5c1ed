#pragma once

#include <cstdint>
#include <vector>

#include "native/math/packed_matrix.h"

namespace hint {

/// For references: the index of value [in, out] in a packed matrix. The order depends on the machine, so this packs
/// matrices of known digits and reads the order off the result. Digits below 100 are exact in every dtype.
inline std::vector<int64_t> packedOrder(int64_t dIn, int64_t dOut, DType dtype) {
  const int64_t count = dIn * dOut, size = packedSize(dIn, dOut, dtype);
  std::vector<int64_t> numbers(static_cast<size_t>(size), 0), order(static_cast<size_t>(count), 0);
  const auto value = [dtype](int64_t digit) {
    return dtype == DType::i8 ? std::vector<uint8_t>{static_cast<uint8_t>(digit)} : [&] {
      const auto number = static_cast<float>(digit);
      uint32_t bits;
      __builtin_memcpy(&bits, &number, sizeof(bits));
      std::vector<uint8_t> bytes;
      for (int shift = dtype == DType::bf16 ? 16 : 0; shift < 32; shift += 8)
        bytes.push_back(static_cast<uint8_t>(bits >> shift));
      return bytes;
    }();
  };
  const size_t width = sizeOf(dtype);
  for (int64_t place = 1; place <= count; place *= 100) {
    std::vector<uint8_t> plain, packed(static_cast<size_t>(size) * width, 0);
    for (int64_t i = 1; i <= count; ++i)
      for (const uint8_t byte : value(i / place % 100)) plain.push_back(byte);
    arrangeMatrix(dIn, dOut, false, dtype, plain.data(), packed.data());
    for (int64_t digit = 1; digit < 100; ++digit) {
      const std::vector<uint8_t> bytes = value(digit);
      for (int64_t i = 0; i < size; ++i)
        if (__builtin_memcmp(bytes.data(), packed.data() + static_cast<size_t>(i) * width, width) == 0)
          numbers[static_cast<size_t>(i)] += digit * place;
    }
  }
  for (int64_t i = 0; i < size; ++i)
    if (const int64_t number = numbers[static_cast<size_t>(i)]) order[static_cast<size_t>(number) - 1] = i;
  return order;
}

}  // namespace hint
