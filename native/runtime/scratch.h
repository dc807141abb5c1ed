#pragma once

#include <cstdint>

namespace hint {

/// Floats a kernel needs for its own duration, from a process-wide caching allocator: page faults of fresh memory
/// would cost more than most kernels. Contents are undefined.
class Scratch {
 public:
  explicit Scratch(int64_t floats);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  float* data() const { return data_; }
  operator float*() const { return data_; }

 private:
  int64_t floats_;
  float* data_;
};

}  // namespace hint
