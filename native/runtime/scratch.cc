#include "native/runtime/scratch.h"

#include "native/runtime/allocator.h"

namespace hint {
namespace {

Allocator& scratchAllocator() {
  static Allocator allocator(hostMemory());
  return allocator;
}

}  // namespace

Scratch::Scratch(int64_t floats)
    : floats_(floats > 0 ? floats : 1),
      data_(static_cast<float*>(scratchAllocator().acquire(static_cast<size_t>(floats_) * sizeof(float)))) {}

Scratch::~Scratch() { scratchAllocator().release(data_, static_cast<size_t>(floats_) * sizeof(float)); }

}  // namespace hint
