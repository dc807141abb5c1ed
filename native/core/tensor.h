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

/// The most elements of a tensor: more than any machine's memory holds, and so few that their product with an element
/// size or a small factor fits 64 bits.
constexpr int64_t kMostElements = int64_t{1} << 48;
/// The largest product of the other sides when one side is 0: no memory bounds loops over the rows of such a tensor.
constexpr int64_t kMostEmptySides = int64_t{1} << 24;

/// The product of the sides. Throws INVALID_SHAPE naming the shape when a side is negative or the tensor exceeds these
/// limits.
int64_t elementCount(const Shape& shape);
std::string toString(const Shape& shape);

/// A dense row-major window into a buffer. Copies share the buffer. A tensor without a buffer has a shape only:
/// backward passes get such tensors for values that the op does not declare as kSaved.
struct Tensor {
  std::shared_ptr<Buffer> buffer;
  int64_t offset = 0;  ///< in elements
  DType dtype = DType::f32;
  Shape shape;

  int64_t size() const { return elementCount(shape); }
  size_t bytes() const { return checkedBytes(size(), sizeOf(dtype)); }
  explicit operator bool() const { return buffer != nullptr; }

  /// The first element; null when the buffer has no memory, as that of a tensor without elements.
  template <typename T>
  T* data() const {
    T* base = static_cast<T*>(buffer->data());
    return base ? base + offset : nullptr;
  }
};

/// Address of the first element of a tensor of any dtype; null when the buffer has no memory.
inline void* addressOf(const Tensor& tensor) {
  auto* base = static_cast<unsigned char*>(tensor.buffer->data());
  return base ? base + tensor.offset * static_cast<int64_t>(sizeOf(tensor.dtype)) : nullptr;
}

/// Whether the two tensors have a byte in common.
bool overlap(const Tensor& a, const Tensor& b);

}  // namespace hint
