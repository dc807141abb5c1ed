// The part of the CUDA runtime that the back end uses, over host memory: one device, on which everything is done when
// the call returns.
#include <cuda_runtime.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>

namespace {

/// Bytes the device pretends to have.
constexpr size_t kMemory = size_t{4} << 30;

cudaError_t allocate(void** pointer, size_t bytes) {
  if (bytes > kMemory) return cudaErrorMemoryAllocation;
  *pointer = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  // Kernels must not count on fresh memory being zero.
  if (*pointer) std::memset(*pointer, 0xFF, bytes);
  return *pointer ? cudaSuccess : cudaErrorMemoryAllocation;
}

/// The call that fails, and with what; `refusedAfter` more calls of that name go well before.
std::mutex mutex;
std::string refused;
int refusedAfter = 0;
cudaError_t refusal = cudaSuccess;

cudaError_t outcome(const char* call) {
  const std::lock_guard lock(mutex);
  return refused == call && refusedAfter-- <= 0 ? refusal : cudaSuccess;
}

}  // namespace

/// For tests: from the call of that name behind `after` others on, it fails with `code`; an empty name ends it.
extern "C" __attribute__((visibility("default"))) void hint_emulator_refuse(const char* call, int after, int code) {
  const std::lock_guard lock(mutex);
  refused = call;
  refusedAfter = after;
  refusal = static_cast<cudaError_t>(code);
}

cudaError_t hint::emulator::outcomeOf(const char* call) { return outcome(call); }

extern "C" {

cudaError_t cudaMalloc(void** pointer, size_t bytes) { return allocate(pointer, bytes); }
cudaError_t cudaFree(void* pointer) {
  std::free(pointer);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) { return allocate(pointer, bytes); }
cudaError_t cudaFreeHost(void* pointer) { return cudaFree(pointer); }
cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  *device = host;
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  if (const cudaError_t code = outcome("cudaMemcpyAsync")) return code;
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  std::memset(to, value, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) { return cudaMemset(to, value, bytes); }
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = *total = kMemory;
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = nullptr;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return outcome("cudaStreamSynchronize"); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = reinterpret_cast<cudaEvent_t>(event);  // anything but null
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return outcome("cudaEventRecord"); }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return outcome("cudaEventSynchronize"); }
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  std::strcpy(properties->name, "CUDA emulator");
  properties->major = 8;
  properties->totalGlobalMem = kMemory;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMultiProcessorCount ? 2 : 99 << 10;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int value) {
  return value <= 99 << 10 ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "an emulated error"; }
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) { return cudaRuntimeGetVersion(version); }
}
