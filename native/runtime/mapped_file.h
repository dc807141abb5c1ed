#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "native/core/tensor.h"
#include "native/runtime/allocator.h"

namespace hint {

/// A file mapped into memory, read-only, so that weights are used without a copy. The system reads pages when they are
/// touched and drops them when it needs the memory. If the file is truncated, commands that read it fail. If it is
/// written to, commands may see the changes. Replacing it by another file of the same name (rename) is harmless.
///
/// A read beyond the end of a truncated file raises SIGBUS. The handler of this process maps zeros in place of the
/// file's pages and notes that it did. The reading thread, in a kernel, continues, and its command fails
/// at its end. Reading the file instead of mapping it would cost a copy; a check before each read would leave a race.
class MappedFile final : public Lender, public std::enable_shared_from_this<MappedFile> {
 public:
  /// Maps the file of `descriptor`, which may be closed afterwards. Null when the file cannot be mapped, or when 4,096
  /// files are mapped already, the most that the process watches.
  static std::shared_ptr<MappedFile> open(int descriptor);
  ~MappedFile() override;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  size_t size() const { return size_; }
  /// INVALID_FILE when the file is shorter than it was when it was mapped; null otherwise. Costs one system call.
  std::shared_ptr<const Error> failure() const override;
  /// A tensor of the bytes from `position` on. They are copied into memory of `allocator` before the first write.
  /// Throws INVALID_SHAPE when they reach beyond the file or are not aligned for the dtype.
  Tensor tensor(std::shared_ptr<Allocator> allocator, DType dtype, Shape shape, int64_t position);

 private:
  struct Watched;
  MappedFile(void* data, size_t size, int descriptor, Watched* watched);

  void* data_;
  size_t size_;
  int descriptor_;  ///< a duplicate, for reading the size
  Watched* watched_;
  std::string path_;
};

/// Lets the system drop the pages of a tensor in a mapped file; they are read again when touched. Does nothing for
/// other tensors.
void releasePages(const Tensor& tensor);

}  // namespace hint
