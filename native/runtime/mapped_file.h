#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "native/runtime/tensor.h"

namespace hint {

/// A file's bytes as memory, read when they are touched and given back by the system when it needs the room: weights
/// that are used where they lie. Read-only. The file must not be made shorter or written to meanwhile: what is gone
/// raises SIGBUS, what is changed may be seen. Replacing it by another of the same name (rename) is harmless.
class MappedFile : public std::enable_shared_from_this<MappedFile> {
 public:
  /// Maps the file that `descriptor` is open on; the descriptor may be closed after. Null where it cannot be mapped.
  static std::shared_ptr<MappedFile> open(int descriptor);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  size_t size() const { return size_; }
  /// A tensor of the bytes from `position` on, which are copied into memory of `allocator` when they are first written.
  /// Throws INVALID_SHAPE when they reach beyond the file or do not lie as the dtype must.
  Tensor tensor(std::shared_ptr<Allocator> allocator, DType dtype, Shape shape, int64_t position);

 private:
  MappedFile(void* data, size_t size) : data_(data), size_(size) {}

  void* data_;
  size_t size_;
};

/// Lets go of the pages of a tensor in a file; they are read again where they are touched. Others stay as they are.
void releasePages(const Tensor& tensor);

}  // namespace hint
