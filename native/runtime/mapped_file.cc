#include "native/runtime/mapped_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <limits>

#include "native/runtime/error.h"
#include "native/runtime/parallel.h"

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

namespace {

// Numbers that are none, and infinities, have an exponent of all ones.
constexpr uint32_t kExponent32 = 0x7f800000;
constexpr uint16_t kExponent16 = 0x7f80;

HINT_CLONES bool isAnyNonFinite(const uint32_t* x, int64_t count) {
  uint32_t found = 0;
  for (int64_t i = 0; i < count; ++i) found |= static_cast<uint32_t>((x[i] & kExponent32) == kExponent32);
  return found != 0;
}

HINT_CLONES bool isAnyNonFinite(const uint16_t* x, int64_t count) {
  uint16_t found = 0;
  for (int64_t i = 0; i < count; ++i) found |= static_cast<uint16_t>((x[i] & kExponent16) == kExponent16);
  return found != 0;
}

template <typename Word>
int64_t firstWith(Word exponent, const Word* x, int64_t count) {
  constexpr int64_t kBlock = 16384, kNone = std::numeric_limits<int64_t>::max();
  std::atomic<int64_t> found{kNone};
  parallelFor((count + kBlock - 1) / kBlock, 16, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t at = block * kBlock;
      if (!isAnyNonFinite(x + at, std::min(kBlock, count - at))) continue;
      int64_t index = at;
      while ((x[index] & exponent) != exponent) ++index;
      for (int64_t least = found; index < least && !found.compare_exchange_weak(least, index);) continue;
      return;
    }
  });
  return found == kNone ? -1 : found.load();
}

}  // namespace

int64_t firstNonFinite(const Tensor& tensor) {
  const void* data = addressOf(tensor);
  if (tensor.dtype == DType::f32) return firstWith(kExponent32, static_cast<const uint32_t*>(data), tensor.size());
  if (tensor.dtype == DType::bf16) return firstWith(kExponent16, static_cast<const uint16_t*>(data), tensor.size());
  return -1;
}

}  // namespace hint
