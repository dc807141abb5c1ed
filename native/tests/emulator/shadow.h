#pragma once

#include <cstddef>

/// The checks of memory accesses in the library "checked": it notes which thread last wrote and read each address, and
/// when. The plain library has no_shadow.cc instead, whose functions do nothing.
namespace hint::emulator::shadow {

/// Call before a kernel whose arguments are at this address.
void beginKernel(const char* name, const void* arguments, size_t bytes);
void endKernel();
/// Call when a block begins; `dynamic` is its dynamic shared memory.
void beginBlock(size_t block, const void* dynamic, size_t bytes);
/// Adds a variable of the block in shared memory.
void addShared(const void* variable, size_t bytes);
/// Call when thread `index` continues, with its stack.
void enterThread(int index, const void* stack, size_t bytes);
/// Call when all threads of the block have reached a barrier.
void meetBlock(int living);
/// Call when all lanes of the warp have reached __syncwarp.
void meetWarp(int warp);
void fence();
void atomic(const void* word, size_t bytes, const void* place);
void warpReads(const void* from, size_t bytes, const void* place);
/// Call when an asynchronous copy begins and when it is done; reading its destination in between is a fault.
void beginCopy(const void* to, const void* from, size_t read, size_t written, const void* place);
void endCopy(const void* to, size_t written, const void* place);

}  // namespace hint::emulator::shadow
