#pragma once

#include <cstddef>

/// What the library "checked" knows of memory that kernels access: who last wrote and read it, and when. The plain
/// library has no_shadow.cc instead, in which all of this does nothing.
namespace hint::emulator::shadow {

/// Kernels are about to run whose arguments lie there.
void beginKernel(const char* name, const void* arguments, size_t bytes);
void endKernel();
/// A block begins; `dynamic` is its dynamic shared memory.
void beginBlock(size_t block, const void* dynamic, size_t bytes);
/// A variable of it in shared memory.
void addShared(const void* variable, size_t bytes);
/// Thread `index` goes on, on a stack of `bytes` that begins there.
void enterThread(int index, const void* stack, size_t bytes);
/// All threads of the block have met.
void meetBlock(int living);
/// All lanes of the warp have met, for the sake of memory.
void meetWarp(int warp);
void fence();
void atomic(const void* word, size_t bytes, const void* place);
void warpReads(const void* from, size_t bytes, const void* place);
/// An asynchronous copy begins and arrives; reading what it writes in between is a fault.
void beginCopy(const void* to, const void* from, size_t read, size_t written, const void* place);
void endCopy(const void* to, size_t written, const void* place);

}  // namespace hint::emulator::shadow
