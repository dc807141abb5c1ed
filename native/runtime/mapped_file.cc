#include "native/runtime/mapped_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <climits>
#include <mutex>

#include "native/core/error.h"

namespace hint {

/// What the signal handler reads of a mapped file. The handler can run on any thread at any moment, so all fields are
/// lock-free atomics.
struct MappedFile::Watched {
  std::atomic<uintptr_t> begin{0};  ///< 0 where no file is watched
  std::atomic<uintptr_t> end{0};
  std::atomic<bool> isCut{false};

  // Static storage, which is zero before any code runs and is never freed.
  static std::array<Watched, 4096> all;

  /// Takes a free entry; null when all are taken.
  static Watched* take(void* data, size_t size) {
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    installHandler();
    for (Watched& watched : all) {
      if (watched.begin) continue;
      watched.isCut = false;
      watched.end = reinterpret_cast<uintptr_t>(data) + size;
      watched.begin = reinterpret_cast<uintptr_t>(data);
      return &watched;
    }
    return nullptr;
  }

 private:
  static struct sigaction before;

  /// Called for each file, because other code may have replaced the handler since the last one.
  static void installHandler() {
    struct sigaction current, own = {};
    sigaction(SIGBUS, nullptr, &current);
    if (current.sa_flags & SA_SIGINFO && current.sa_sigaction == onBusError) return;
    own.sa_sigaction = onBusError;
    own.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&own.sa_mask);
    before = current;
    sigaction(SIGBUS, &own, nullptr);
  }

  static void onBusError(int signal, siginfo_t* info, void* context) {
    const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
    for (Watched& watched : all) {
      const uintptr_t begin = watched.begin, end = watched.end;
      if (begin == 0 || address < begin || address >= end) continue;
      const auto page = address & ~(static_cast<uintptr_t>(getpagesize()) - 1);
      watched.isCut = true;
      // A private anonymous mapping: all reads share one page of zeros, so it takes no memory.
      if (mmap(reinterpret_cast<void*>(page), end - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
          MAP_FAILED)
        return;
    }
    if (before.sa_flags & SA_SIGINFO)
      before.sa_sigaction(signal, info, context);
    else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
      before.sa_handler(signal);
    else
      // Not one of our files: restore the previous handler. The read is repeated and ends the process, as without this
      // handler.
      sigaction(SIGBUS, &before, nullptr);
  }
};

std::array<MappedFile::Watched, 4096> MappedFile::Watched::all;
struct sigaction MappedFile::Watched::before;

std::shared_ptr<MappedFile> MappedFile::open(int descriptor) {
  struct stat status;
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0) return nullptr;
  const int own = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (own < 0) return nullptr;
  const auto size = static_cast<size_t>(status.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, own, 0);
  Watched* watched = data == MAP_FAILED ? nullptr : Watched::take(data, size);
  if (watched) return std::shared_ptr<MappedFile>(new MappedFile(data, size, own, watched));
  if (data != MAP_FAILED) munmap(data, size);
  close(own);
  return nullptr;
}

MappedFile::MappedFile(void* data, size_t size, int descriptor, Watched* watched)
    : data_(data), size_(size), descriptor_(descriptor), watched_(watched) {
  // The path now, because the link in /proc follows renames until the message is made.
  std::string name(PATH_MAX, '\0');
  const ssize_t length = readlink(("/proc/self/fd/" + std::to_string(descriptor)).c_str(), name.data(), name.size());
  path_ = length > 0 ? name.substr(0, static_cast<size_t>(length)) : "a mapped file";
}

MappedFile::~MappedFile() {
  watched_->begin = 0;
  munmap(data_, size_);
  close(descriptor_);
}

std::shared_ptr<const Error> MappedFile::failure() const {
  // Bytes between the end of a file and the end of its last page read as zeros without a signal, so the size must be
  // compared.
  struct stat status;
  const bool isKnown = fstat(descriptor_, &status) == 0;
  if (isKnown && static_cast<size_t>(status.st_size) < size_) watched_->isCut = true;
  if (!watched_->isCut) return nullptr;
  return std::make_shared<Error>("INVALID_FILE", path_ + " was cut off while it was in use: it had " +
                                                     std::to_string(size_) + " bytes when it was opened" +
                                                     (isKnown ? ", now " + std::to_string(status.st_size) : "") +
                                                     ". Write it again and open it anew.");
}

Tensor MappedFile::tensor(std::shared_ptr<Allocator> allocator, DType dtype, Shape shape, int64_t position) {
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  const size_t bytes = tensor.bytes();
  // The file may have been truncated after its header was read.
  if (position < 0 || static_cast<size_t>(position) > size_ || bytes > size_ - static_cast<size_t>(position))
    fail("INVALID_FILE", "A tensor of ", bytes, " bytes at byte ", position, " does not fit into a file of ", size_,
         " bytes. If the file has been cut off, write it again and open it anew.");
  if (position % static_cast<int64_t>(sizeOf(dtype)) != 0)
    fail("INVALID_SHAPE", "A ", nameOf(dtype), " tensor cannot lie at byte ", position,
         " of a file, which is no multiple of its element's size.");
  tensor.buffer = std::make_shared<Buffer>(std::move(allocator), shared_from_this(),
                                           static_cast<const char*>(data_) + position, bytes);
  return tensor;
}

void releasePages(const Tensor& tensor) {
  if (!tensor || !tensor.buffer->isBorrowed()) return;
  // The first and the last page may belong to other tensors, too, and are kept.
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)),
             begin = reinterpret_cast<uintptr_t>(addressOf(tensor));
  const uintptr_t first = (begin + page - 1) / page * page, last = (begin + tensor.bytes()) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace hint
