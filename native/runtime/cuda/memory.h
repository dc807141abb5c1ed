#pragma once

#include <memory>

#include "native/runtime/allocator.h"

namespace hint::cuda {

/// Memory of a GPU. Freeing waits until the GPU is idle, which segments make rare.
std::unique_ptr<MemorySource> deviceMemory(int device);
/// Host memory that the GPU can copy from and to without a detour.
std::unique_ptr<MemorySource> pinnedMemory();

}  // namespace hint::cuda
