#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <math.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

/// Runs CUDA kernels on the CPU, so that they are tested on machines without a GPU. The kernels' sources are compiled
/// as C++ after scripts/emulate-cuda.mjs has turned launches into calls of launch(); every thread of a block is a
/// coroutine that yields where the kernel synchronises. One block runs at a time: what it shares is static memory.
///   runtime.cc, stream.h   launches and copies are queued and run later, on another thread
///   device.h               a launch beyond the limits of the device is refused
///   shadow.h               in the library "checked": races, misaligned and stray accesses, with their lines
#undef __shared__
#define __shared__ static
#undef __launch_bounds__
#define __launch_bounds__(...)

namespace hint::emulator {

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

/// Dynamic shared memory of the block that runs.
float* sharedMemory();
/// Tells that the block has this variable in shared memory. It is all ones (NaN) when a block first comes here.
void declareShared(void* variable, size_t bytes);
template <typename T>
void declareShared(T& variable) {
  declareShared(&variable, sizeof variable);
}

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
/// Waits for the warp. What its lanes wrote before is seen by all of them behind it; no other operation promises that.
void waitWarp();
/// The warp reads shared memory together, each lane for all.
void warpReads(const void* from, size_t bytes);
/// What the thread wrote before is seen by whoever sees what it writes behind this.
void fence();
/// An atomic operation on the word.
void atomic(void* word, size_t bytes);

/// Reports an address that no copy or matrix load takes.
void requireAligned(const void* address);

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

/// What a launch says in <<<>>>.
struct Configuration {
  dim3 grid, threads;
  size_t sharedBytes = 0;
  cudaStream_t stream = nullptr;
};
struct Kernel {
  const char* name;
  const void* identity;  ///< by which cudaFuncSetAttribute knows it; null where its launch deduces its types
};

/// Queues body(state), once per thread of the grid. `bytes` of the state are the arguments, which kernels may read.
void submit(const Kernel& kernel, const Configuration& configuration, std::shared_ptr<void> state, size_t bytes,
            void (*body)(const void*));

/// What a kernel is given: memory that converts to its address when a GPU's launch copies it must do so here.
template <typename T>
auto argumentOf(const T& argument) {
  if constexpr (requires { argument.get(); })
    return argument.get();
  else
    return argument;
}

template <typename Body, typename... Arguments>
void launch(const Kernel& kernel, const Configuration& configuration, const Body& body, const Arguments&... arguments) {
  // Arguments are copied as a launch copies them; the kernel sees them unchanged until the last thread.
  using Copies = std::tuple<Body, decltype(argumentOf(arguments))...>;
  auto copies = std::make_shared<Copies>(body, argumentOf(arguments)...);
  submit(kernel, configuration, std::move(copies), sizeof(Copies), [](const void* state) {
    std::apply([](const Body& run, const auto&... given) { run(given...); }, *static_cast<const Copies*>(state));
  });
}

/// Null, by substitution failure, where `kernel` is a template whose types are yet to be deduced.
template <typename, typename... Arguments>
const void* identityOf(void (*kernel)(Arguments...)) {
  return reinterpret_cast<const void*>(kernel);
}

/// A kernel that is added to a graph by its address: how it is launched from an array of pointers to its arguments.
using Unpack = void (*)(const Kernel&, const Configuration&, void** arguments);
void* registered(const char* name, void* kernel, Unpack unpack);
template <typename... Arguments>
void* registered(const char* name, void (*kernel)(Arguments...)) {
  static void (*known)(Arguments...) = kernel;
  return registered(name, reinterpret_cast<void*>(kernel),
                    [](const Kernel& info, const Configuration& configuration, void** given) {
                      [&]<size_t... i>(std::index_sequence<i...>) {
                        launch(info, configuration, known, *static_cast<std::decay_t<Arguments>*>(given[i])...);
                      }
                      (std::index_sequence_for<Arguments...>());
                    });
}
void setCondition(cudaGraphConditionalHandle handle, unsigned value);

}  // namespace hint::emulator

/// In front of the runtime's declarations, which nobody defines.
namespace hint {
using emulator::blockDim;
using emulator::blockIdx;
using emulator::gridDim;
using emulator::threadIdx;
}  // namespace hint

inline void __syncthreads() { ::hint::emulator::waitBlock(0); }
inline int __syncthreads_or(int value) { return ::hint::emulator::waitBlock(value != 0); }
inline void __syncwarp() { ::hint::emulator::waitWarp(); }
inline unsigned __ballot_sync(unsigned, bool predicate) { return ::hint::emulator::ballot(predicate); }
inline void __threadfence_system() { ::hint::emulator::fence(); }
inline void __threadfence() { ::hint::emulator::fence(); }
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

/// Not instrumented: atomic() says what they access.
#define HINT_ATOMIC __attribute__((no_sanitize("thread"))) inline
HINT_ATOMIC unsigned atomicAdd(unsigned* address, unsigned value) {
  ::hint::emulator::atomic(address, sizeof *address);
  const unsigned old = *address;
  *address += value;
  return old;
}
HINT_ATOMIC unsigned long long atomicMin(unsigned long long* address, unsigned long long value) {
  ::hint::emulator::atomic(address, sizeof *address);
  const unsigned long long old = *address;
  if (value < old) *address = value;
  return old;
}
#undef HINT_ATOMIC
inline void cudaGraphSetConditional(cudaGraphConditionalHandle handle, unsigned value) {
  ::hint::emulator::setCondition(handle, value);
}

template <typename A, typename B>
constexpr std::common_type_t<A, B> min(A a, B b) {
  return b < a ? b : a;
}
template <typename A, typename B>
constexpr std::common_type_t<A, B> max(A a, B b) {
  return a < b ? b : a;
}
