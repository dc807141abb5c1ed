#pragma once

#include <time.h>

#include <algorithm>

namespace hint {

/// Pauses between two looks at what others do: none at first, a few microseconds in all; then the core is left to
/// whoever computes.
class Patience {
 public:
  void pause() {
    if (looks_++ < kEager) return;
    // Of a wait that is long already, a twentieth more is lost at most.
    const long nanoseconds = std::clamp(waited_ / kShareOfWait, kLeast, kMost);
    const timespec pause{.tv_sec = 0, .tv_nsec = nanoseconds};
    nanosleep(&pause, nullptr);
    waited_ += nanoseconds;
  }

 private:
  static constexpr int kEager = 64;
  static constexpr long kLeast = 50'000, kMost = 1'000'000, kShareOfWait = 20;
  int looks_ = 0;
  long waited_ = 0;
};

}  // namespace hint
