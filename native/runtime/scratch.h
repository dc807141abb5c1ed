#pragma once

#include <cstdint>
#include <memory>

namespace hint {

class Allocator;

/// The caching allocator of scratch memory of the whole process. Without a cache, the page faults of fresh memory would
/// cost more than most kernels.
const std::shared_ptr<Allocator>& scratchAllocator();

/// Floats from scratchAllocator() for the duration of a kernel. Their values are undefined.
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
