#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace hint {

enum class DType : uint8_t { f32, bf16, i32, i8 };

constexpr size_t sizeOf(DType dtype) {
  return dtype == DType::f32 || dtype == DType::i32 ? 4 : dtype == DType::bf16 ? 2 : 1;
}
constexpr bool isFloating(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; }
const char* nameOf(DType dtype);
/// Throws INVALID_ARGUMENT when `name` is no dtype.
DType dtypeFromName(const std::string& name);

}  // namespace hint
