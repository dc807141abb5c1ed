#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "native/core/buffer.h"
#include "native/core/checked.h"
#include "native/core/dtype.h"

namespace hint {

/// Sizes of a dense row-major tensor, outermost first.
using Shape = std::vector<int64_t>;

/// What a tensor may have: more than any machine's memory, and so few that products with other sizes fit 64 bits.
constexpr int64_t kMostElements = int64_t{1} << 48;
/// The product of the sides that are not 0 where one is: nothing else bounds loops over the rows of such tensors.
constexpr int64_t kMostEmptySides = int64_t{1} << 24;

/// Throws INVALID_SHAPE naming the shape when a side is negative or the tensor is larger than those limits.
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
  size_t bytes() const { return checkedBytes(size(), sizeOf(dtype)); }
  explicit operator bool() const { return buffer != nullptr; }

  /// The first element; null without memory, which is what a tensor without elements may be.
  template <typename T>
  T* data() const {
    T* base = static_cast<T*>(buffer->data());
    return base ? base + offset : nullptr;
  }
};

/// Where the first element of a tensor is, whatever its dtype; null without memory.
inline void* addressOf(const Tensor& tensor) {
  auto* base = static_cast<unsigned char*>(tensor.buffer->data());
  return base ? base + tensor.offset * static_cast<int64_t>(sizeOf(tensor.dtype)) : nullptr;
}

/// Whether elements of both lie in the same memory.
bool overlap(const Tensor& a, const Tensor& b);

}  // namespace hint
