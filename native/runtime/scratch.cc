#include "native/runtime/scratch.h"

#include "native/core/checked.h"
#include "native/runtime/allocator.h"

namespace hint {

const std::shared_ptr<Allocator>& scratchAllocator() {
  // The allocator is never destroyed, because compute threads may still use it while the process ends.
  static const auto& allocator = *new auto(std::make_shared<Allocator>(hostMemory()));
  return allocator;
}

Scratch::Scratch(int64_t floats)
    : floats_(floats > 0 ? floats : 1),
      data_(static_cast<float*>(scratchAllocator()->acquire(checkedBytes(floats_, sizeof(float))))) {}

Scratch::~Scratch() { scratchAllocator()->release(data_, static_cast<size_t>(floats_) * sizeof(float)); }

}  // namespace hint
