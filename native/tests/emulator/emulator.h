#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <math.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <type_traits>

/// Runs CUDA kernels on the CPU, so that their logic is tested on machines without a GPU. The kernels' sources are
/// compiled as C++ after scripts/emulate-cuda.mjs has turned launches into calls of launch(); every thread of a block
/// is a coroutine that yields where the kernel synchronises. One block runs at a time: what it shares is static memory.
/// Finds wrong indices, wrong sums, barriers in divergent code; does not find races between threads or blocks.
#undef __shared__
#define __shared__ static
#undef __launch_bounds__
#define __launch_bounds__(...)

namespace hint::emulator {

extern uint3 thread, block;
extern dim3 blockSize, gridSize;

/// Dynamic shared memory of the block that runs.
float* sharedMemory();
/// Runs body() once per thread of the grid.
void run(dim3 grid, dim3 threads, size_t sharedBytes, void (*body)(void*), void* state);
/// Waits for the block; the bitwise or of all threads' values.
int waitBlock(int value);
/// What one lane of a warp shows the others.
struct alignas(8) Slot {
  unsigned char bytes[64];
};
/// Waits for the warp; the slots of its 32 lanes, each beginning with the `bytes` that lane gave. They hold until the
/// thread's next call but one.
const Slot* gather(const void* value, size_t bytes);
/// The thread's place in its warp.
unsigned lane();
/// Waits for the warp; bit i is lane i's predicate.
unsigned ballot(bool predicate);
/// Begins a copy that arrives when it is waited for; `zeros` bytes behind it are cleared.
void copyAsync(void* to, const void* from, size_t bytes, size_t zeros);
/// Ends a group of copies of this thread.
void commitCopies();
/// Waits until at most `allowed` of the thread's groups have not arrived.
void awaitCopies(int allowed);

/// What `source` lane of the warp gave.
template <typename T>
T exchange(T value, unsigned source) {
  std::memcpy(&value, gather(&value, sizeof value)[source].bytes, sizeof value);
  return value;
}

/// Whether a test wants the call of that name to fail, and with what.
cudaError_t outcomeOf(const char* call);

template <typename Kernel, typename... Arguments>
void launch(dim3 grid, dim3 threads, size_t sharedBytes, const Kernel& kernel, const Arguments&... arguments) {
  // Arguments are copied as a launch copies them; the kernel sees them unchanged until the last thread.
  const std::tuple<std::decay_t<Arguments>...> copies(arguments...);
  const auto body = [&] { std::apply(kernel, copies); };
  run(
      grid, threads, sharedBytes, [](void* state) { (*static_cast<decltype(body)*>(state))(); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace hint::emulator

#define threadIdx ::hint::emulator::thread
#define blockIdx ::hint::emulator::block
#define blockDim ::hint::emulator::blockSize
#define gridDim ::hint::emulator::gridSize

inline void __syncthreads() { ::hint::emulator::waitBlock(0); }
inline int __syncthreads_or(int value) { return ::hint::emulator::waitBlock(value != 0); }
inline void __syncwarp() { ::hint::emulator::ballot(true); }
inline unsigned __ballot_sync(unsigned, bool predicate) { return ::hint::emulator::ballot(predicate); }
inline void __threadfence_system() {}
inline void __threadfence() {}
template <typename T>
T __ldcg(const T* address) {
  return *address;
}
inline int __popc(unsigned value) { return __builtin_popcount(value); }

template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return ::hint::emulator::exchange(value, ::hint::emulator::lane() ^ static_cast<unsigned>(mask));
}
template <typename T>
T __shfl_sync(unsigned, T value, int source) {
  return ::hint::emulator::exchange(value, static_cast<unsigned>(source));
}

template <typename... Arguments>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Arguments...), cudaFuncAttribute attribute, int value) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), attribute, value);
}

inline unsigned atomicAdd(unsigned* address, unsigned value) {
  const unsigned old = *address;
  *address += value;
  return old;
}
inline unsigned long long atomicMin(unsigned long long* address, unsigned long long value) {
  const unsigned long long old = *address;
  if (value < old) *address = value;
  return old;
}

template <typename A, typename B>
constexpr std::common_type_t<A, B> min(A a, B b) {
  return b < a ? b : a;
}
template <typename A, typename B>
constexpr std::common_type_t<A, B> max(A a, B b) {
  return a < b ? b : a;
}
