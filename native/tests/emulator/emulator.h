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
/// coroutine that yields where the kernel synchronises. One block runs at a time, so shared memory is static.
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
/// Declares a variable in the block's shared memory. Its bits are all ones (NaN) at the first declaration in a block.
void declareShared(void* variable, size_t bytes);
template <typename T>
void declareShared(T& variable) {
  declareShared(&variable, sizeof variable);
}

/// Waits for the block. Returns the bitwise or of all threads' values.
int waitBlock(int value);
/// The value of one lane that the others of its warp read.
struct alignas(8) Slot {
  unsigned char bytes[64];
};
/// Waits for the warp. Returns the slots of its 32 lanes; each begins with the `bytes` bytes of that lane. They are
/// valid until the next call but one of the thread.
const Slot* gather(const void* value, size_t bytes);
/// Index of the thread in its warp.
unsigned lane();
/// Waits for the warp. Bit i of the result is the predicate of lane i.
unsigned ballot(bool predicate);
/// Waits for the warp. Afterwards all lanes see what the others wrote before; no other warp operation guarantees that.
void waitWarp();
/// Notes that the warp reads shared memory together, each lane on behalf of all.
void warpReads(const void* from, size_t bytes);
/// A fence: whoever sees a later write of this thread sees its earlier writes, too.
void fence();
/// Notes an atomic operation on the word.
void atomic(void* word, size_t bytes);

/// Reports an address that is not aligned as asynchronous copies and matrix loads need.
void requireAligned(const void* address);

/// Begins a copy that is done when the thread waits for it; the `zeros` bytes after it become 0.
void copyAsync(void* to, const void* from, size_t bytes, size_t zeros);
/// Ends a group of this thread's copies.
void commitCopies();
/// Waits until at most `allowed` of the thread's groups are unfinished.
void awaitCopies(int allowed);

/// The value of lane `source` of the warp.
template <typename T>
T exchange(T value, unsigned source) {
  std::memcpy(&value, gather(&value, sizeof value)[source].bytes, sizeof value);
  return value;
}

/// The arguments of a launch in <<<>>>.
struct Configuration {
  dim3 grid, threads;
  size_t sharedBytes = 0;
  cudaStream_t stream = nullptr;
};
struct Kernel {
  const char* name;
  const void* identity;  ///< address under which cudaFuncSetAttribute knows the kernel; null when the launch deduces
                         ///< template arguments
};

/// Queues body(state), once per thread of the grid. The arguments are `bytes` bytes of the state, which kernels may
/// read.
void submit(const Kernel& kernel, const Configuration& configuration, std::shared_ptr<void> state, size_t bytes,
            void (*body)(const void*));

/// The argument of a kernel. Scratch memory converts to its address here, as in the launch on a GPU.
template <typename T>
auto argumentOf(const T& argument) {
  if constexpr (requires { argument.get(); })
    return argument.get();
  else
    return argument;
}

template <typename Body, typename... Arguments>
void launch(const Kernel& kernel, const Configuration& configuration, const Body& body, const Arguments&... arguments) {
  // Arguments are copied, as a launch does, so that the kernel sees them unchanged to the end.
  using Copies = std::tuple<Body, decltype(argumentOf(arguments))...>;
  auto copies = std::make_shared<Copies>(body, argumentOf(arguments)...);
  submit(kernel, configuration, std::move(copies), sizeof(Copies), [](const void* state) {
    std::apply([](const Body& run, const auto&... given) { run(given...); }, *static_cast<const Copies*>(state));
  });
}

/// The address of `kernel`; null, by substitution failure, when it is a template whose arguments are not deduced yet.
template <typename, typename... Arguments>
const void* identityOf(void (*kernel)(Arguments...)) {
  return reinterpret_cast<const void*>(kernel);
}

/// Launches a kernel that is added to a graph by its address, from an array of pointers to its arguments.
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

/// These precede the declarations of the CUDA runtime, which have no definitions here.
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

/// Not instrumented, because atomic() notes the access.
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
