#include "native/runtime/mapped_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/runtime/error.h"

namespace hint {

std::shared_ptr<MappedFile> MappedFile::open(int descriptor) {
  struct stat status;
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0) return nullptr;
  const auto size = static_cast<size_t>(status.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (data == MAP_FAILED) return nullptr;
  return std::shared_ptr<MappedFile>(new MappedFile(data, size));
}

MappedFile::~MappedFile() { munmap(data_, size_); }

Tensor MappedFile::tensor(std::shared_ptr<Allocator> allocator, DType dtype, Shape shape, int64_t position) {
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  const size_t bytes = tensor.bytes();
  if (position < 0 || static_cast<size_t>(position) > size_ || bytes > size_ - static_cast<size_t>(position))
    fail("INVALID_SHAPE", "A tensor of ", bytes, " bytes at byte ", position, " does not fit into a file of ", size_,
         " bytes.");
  if (position % static_cast<int64_t>(sizeOf(dtype)) != 0)
    fail("INVALID_SHAPE", "A ", nameOf(dtype), " tensor cannot lie at byte ", position,
         " of a file, which is no multiple of its element's size.");
  tensor.buffer = std::make_shared<Buffer>(std::move(allocator), shared_from_this(),
                                           static_cast<const char*>(data_) + position, bytes);
  return tensor;
}

void releasePages(const Tensor& tensor) {
  if (!tensor || !tensor.buffer->isBorrowed()) return;
  // Neighbours may share the first and the last page.
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)),
             begin = reinterpret_cast<uintptr_t>(addressOf(tensor));
  const uintptr_t first = (begin + page - 1) / page * page, last = (begin + tensor.bytes()) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace hint
