#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "native/core/tensor.h"
#include "native/runtime/allocator.h"

namespace hint {

/// A file's bytes as memory, read when they are touched and given back by the system when it needs the room: weights
/// that are used where they lie. Read-only. Where the file is made shorter meanwhile, whatever is computed from it then
/// fails; where it is written to, what is changed may be seen. Replacing it by another of the same name (rename) is
/// harmless.
///
/// A read beyond the end that a file has by then raises SIGBUS. The handler of this process puts zeros where the file's
/// pages were and notes it: the reading thread goes on, in a kernel or in oneDNN, and the command that it works for
/// fails when it is done. Reading the file instead would cost the copy that mapping saves; a check before each read
/// could be outrun.
class MappedFile final : public Lender, public std::enable_shared_from_this<MappedFile> {
 public:
  /// Maps the file that `descriptor` is open on; the descriptor may be closed after. Null where it cannot be mapped,
  /// and where more files than the process watches (4,096) are mapped already.
  static std::shared_ptr<MappedFile> open(int descriptor);
  ~MappedFile() override;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  size_t size() const { return size_; }
  /// INVALID_FILE once the file was found shorter than it was when it was mapped. Costs one system call.
  std::shared_ptr<const Error> failure() const override;
  /// A tensor of the bytes from `position` on, which are copied into memory of `allocator` when they are first written.
  /// Throws INVALID_SHAPE when they reach beyond the file or do not lie as the dtype must.
  Tensor tensor(std::shared_ptr<Allocator> allocator, DType dtype, Shape shape, int64_t position);

 private:
  struct Watched;
  MappedFile(void* data, size_t size, int descriptor, Watched* watched);

  void* data_;
  size_t size_;
  int descriptor_;  ///< of its own, to ask for the size
  Watched* watched_;
  std::string path_;
};

/// Lets go of the pages of a tensor in a file; they are read again where they are touched. Others stay as they are.
void releasePages(const Tensor& tensor);

}  // namespace hint
