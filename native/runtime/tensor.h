#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "native/runtime/buffer.h"

namespace hint {

enum class DType : uint8_t { f32, bf16, i32, i8 };

constexpr size_t sizeOf(DType dtype) {
  return dtype == DType::f32 || dtype == DType::i32 ? 4 : dtype == DType::bf16 ? 2 : 1;
}
constexpr bool isFloating(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; }
const char* nameOf(DType dtype);
/// Throws INVALID_ARGUMENT when `name` is no dtype.
DType dtypeFromName(const std::string& name);

/// Sizes of a dense row-major tensor, outermost first.
using Shape = std::vector<int64_t>;

int64_t elementCount(const Shape& shape);
std::string toString(const Shape& shape);

/// A dense row-major window into a buffer. Copies share the buffer. A tensor without a buffer carries a shape only:
/// that is what backward passes see of values they declared they do not read.
struct Tensor {
  std::shared_ptr<Buffer> buffer;
  int64_t offset = 0;  ///< in elements
  DType dtype = DType::f32;
  Shape shape;

  int64_t size() const { return elementCount(shape); }
  size_t bytes() const { return static_cast<size_t>(size()) * sizeOf(dtype); }
  explicit operator bool() const { return buffer != nullptr; }

  template <typename T>
  T* data() const {
    return static_cast<T*>(buffer->data()) + offset;
  }
};

/// Where the first element of a tensor is, whatever its dtype; null without memory.
inline void* addressOf(const Tensor& tensor) {
  auto* base = static_cast<unsigned char*>(tensor.buffer->data());
  return base ? base + tensor.offset * static_cast<int64_t>(sizeOf(tensor.dtype)) : nullptr;
}

}  // namespace hint
