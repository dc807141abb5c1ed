#pragma once

#include <atomic>
#include <cstdint>
#include <exception>

namespace hint {

/// Number of threads that parallelFor uses when called from this thread.
int threadCount();
/// Sets that number for the calling thread; a stream sets it for its own.
void setThreadCount(int threads);
/// Cores this process may use.
int availableCores();

/// The fewest elements per thread with which another thread speeds up a loop that is bound by memory.
constexpr int64_t kElementGrain = 32768;
/// The same in rows of `width` elements.
constexpr int64_t rowGrain(int64_t width) {
  return width >= kElementGrain ? 1 : kElementGrain / (width > 0 ? width : 1);
}

/// Carries the first exception out of an OpenMP team; an exception that leaves the team would end the process.
class TeamError {
 public:
  template <typename Body>
  void guard(const Body& body) noexcept {
    try {
      body();
    } catch (...) {
      if (!isTaken_.exchange(true)) error_ = std::current_exception();
    }
  }
  /// Throws that exception, if there was one. Call after the team has ended.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::atomic<bool> isTaken_{false};
  std::exception_ptr error_;
};

/// Splits [0, count) into at most threadCount() contiguous ranges of at least `grain` and runs body(begin, end) on
/// each. The split depends only on count, grain and the thread count, so results are equal from run to run. Throws the
/// first of what the bodies throw, when all have ended.
template <typename Body>
void parallelFor(int64_t count, int64_t grain, const Body& body) {
  const int64_t limit = grain > 0 ? (count + grain - 1) / grain : count;
  const int threads = static_cast<int>(limit < threadCount() ? limit : threadCount());
  if (threads <= 1) {
    if (count > 0) body(int64_t{0}, count);
    return;
  }
  TeamError error;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int part = 0; part < threads; ++part)
    error.guard([&] { body(count * part / threads, count * (part + 1) / threads); });
  error.rethrow();
}

/// Runs body(index) for every index in [0, count), handed out one by one: for items of very different cost. Each
/// item must write only what no other item writes, which keeps results deterministic. Throws as parallelFor does.
template <typename Body>
void parallelItems(int64_t count, const Body& body) {
  TeamError error;
#pragma omp parallel for num_threads(threadCount()) schedule(dynamic, 1)
  for (int64_t index = 0; index < count; ++index) error.guard([&] { body(index); });
  error.rethrow();
}

}  // namespace hint

/// Compiles a function once per instruction set and picks one when the library is loaded, so that a shipped binary
/// runs anywhere and still uses 512-bit vectors. Put it on plain loops; not on functions that contain OpenMP regions.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define HINT_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define HINT_CLONES
#endif

/// For functions whose values stay in registers of the caller.
#define HINT_INLINE inline __attribute__((always_inline))
