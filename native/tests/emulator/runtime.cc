// The part of the CUDA runtime that the back end uses, for one device whose work another thread does later.
#include <cuda_runtime.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <string>

#include "native/tests/emulator/device.h"
#include "native/tests/emulator/stream.h"

namespace hint::emulator {
namespace {

/// The calls that fail, and their error.
struct Refusals {
  std::mutex mutex;
  std::string call;  ///< function that fails, after `after` calls have succeeded
  int after = 0;
  cudaError_t code = cudaSuccess;
  int64_t calls = 0, first = -1, last = -1;  ///< or the range of calls that fail, counted over all functions
  std::string refused;                       ///< name of the first of these that failed
};
Refusals& refusals = *new Refusals;

/// CUDA version of the driver, 0 without a driver, and compute capability; a negative number means the device's own.
int driverVersion = CUDART_VERSION, major = -1, minor = 0;

/// Settings of a process that a test starts: HINT_EMULATOR_TOLD="refuse CALL AFTER CODE" or "pretend DRIVER MAJOR
/// MINOR".
[[maybe_unused]] const bool isTold = [] {
  const char* told = std::getenv("HINT_EMULATOR_TOLD");
  char call[64];
  int after, code;
  if (told && std::sscanf(told, "refuse %63s %d %d", call, &after, &code) == 3) {
    refusals.call = call;
    refusals.after = after;
    refusals.code = static_cast<cudaError_t>(code);
  }
  return told && std::sscanf(told, "pretend %d %d %d", &driverVersion, &major, &minor) == 3;
}();

thread_local cudaError_t lastError = cudaSuccess;

bool hasFound = false;
void endWithFindings() {
  if (!hasFound) return;
  std::fflush(nullptr);
  _exit(kFound);
}
/// Registered before all other functions, so that it runs last.
[[maybe_unused]] const int registered = std::atexit(endWithFindings);

}  // namespace

cudaError_t returned(cudaError_t code) {
  if (code != cudaSuccess) lastError = code;
  return code;
}

cudaError_t outcome(const char* call) {
  const std::lock_guard lock(refusals.mutex);
  const int64_t number = refusals.calls++;
  const bool isRefused =
      (refusals.call == call && refusals.after-- <= 0) || (number >= refusals.first && number <= refusals.last);
  if (number == refusals.first) refusals.refused = call;
  return isRefused ? returned(refusals.code) : cudaSuccess;
}

std::mutex reporting;
std::set<std::pair<std::string, const void*>>& reported = *new std::set<std::pair<std::string, const void*>>;

bool isReported(const char* kind, const void* place) {
  const std::lock_guard lock(reporting);
  return reported.count({kind, place}) > 0;
}

void report(const char* kind, const void* place, const char* format, ...) {
  const std::lock_guard lock(reporting);
  if (!reported.emplace(kind, place).second) return;
  hasFound = true;
  std::va_list arguments;
  va_start(arguments, format);
  std::fprintf(stderr, "CUDA emulator: %s: ", kind);
  std::vfprintf(stderr, format, arguments);
  std::fputc('\n', stderr);
  va_end(arguments);
  if (setting("HINT_EMULATOR_STOP", 0)) {
    std::fflush(nullptr);
    _exit(kFound);
  }
}

namespace {

/// An event: the number of works of a stream when it was recorded.
struct Event {
  Stream* stream = nullptr;
  uint64_t count = 0;
};

cudaError_t allocate(const char* call, void** pointer, size_t bytes, bool isPinned) {
  if (const cudaError_t code = outcome(call)) return code;
  *pointer = take(bytes, isPinned);
  return *pointer ? cudaSuccess : returned(cudaErrorMemoryAllocation);
}

cudaError_t release(const char* call, void* pointer) {
  const cudaError_t code = outcome(call);
  if (!pointer) return code;
  // The CUDA runtime waits here, too, and programs depend on it.
  waitForAll();
  return give(pointer) ? code : returned(cudaErrorInvalidValue);
}

bool isWithin(const void* address, size_t bytes) {
  const Allocation allocation = allocationOf(address);
  return allocation.bytes > 0 && static_cast<const char*>(address) + bytes <= allocation.begin + allocation.bytes;
}

cudaError_t copy(const char* call, void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t handle) {
  if (const cudaError_t code = outcome(call)) return code;
  if (bytes == 0) return cudaSuccess;
  Stream& stream = streamOf(handle);
  const Allocation source = allocationOf(from), target = allocationOf(to);
  for (const auto& [address, allocation] : {std::pair<const void*, Allocation>(from, source), {to, target}})
    if (isInArena(address) && !isWithin(address, bytes)) return returned(cudaErrorInvalidValue);
  if ((kind != cudaMemcpyDeviceToHost && target.bytes == 0) || (kind != cudaMemcpyHostToDevice && source.bytes == 0))
    return returned(cudaErrorInvalidValue);
  const auto move = [=] { std::memcpy(to, from, bytes); };
  if (kind == cudaMemcpyDeviceToDevice) countLaunch();
  if (stream.capture && (source.bytes == 0 || source.isPinned))
    report(
        "stale capture", from,
        "A copy of %zu bytes from the host is captured into a graph: each launch of the graph will read what is there "
        "then.",
        bytes);
  if (source.bytes > 0 && target.bytes > 0) {
    enqueue(stream, move);
    return cudaSuccess;
  }
  // Pageable memory is copied before the call returns.
  if (spoilsCapture(stream)) return returned(cudaErrorStreamCaptureUnsupported);
  enqueue(stream, move);
  wait(stream, queuedOn(stream));
  return cudaSuccess;
}

cudaError_t clear(const char* call, void* to, int value, size_t bytes, cudaStream_t stream) {
  if (const cudaError_t code = outcome(call)) return code;
  if (bytes > 0 && !isWithin(to, bytes)) return returned(cudaErrorInvalidValue);
  countLaunch();
  enqueue(streamOf(stream), [=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}

Event* eventOf(cudaEvent_t event) { return reinterpret_cast<Event*>(event); }

std::atomic<int64_t> launches{0};

}  // namespace

void countLaunch() { ++launches; }

}  // namespace hint::emulator

using namespace hint::emulator;

#define HINT_EXPORTED extern "C" __attribute__((visibility("default")))

/// For tests: after `after` calls of that name, all further ones fail with `code`. An empty name ends it.
HINT_EXPORTED void hint_emulator_refuse(const char* call, int after, int code) {
  const std::lock_guard lock(refusals.mutex);
  refusals.call = call;
  refusals.after = after;
  refusals.code = static_cast<cudaError_t>(code);
}
/// For tests: the CUDA calls number `first` to `last` from now on fail with `code`, whatever their names.
HINT_EXPORTED void hint_emulator_refuse_calls(int64_t first, int64_t last, int code) {
  const std::lock_guard lock(refusals.mutex);
  refusals.calls = 0;
  refusals.first = first;
  refusals.last = last;
  refusals.code = static_cast<cudaError_t>(code);
}
/// For tests: sets the driver's version (13000 for 13.0, 0 for none, -1 for the usual one) and the device's compute
/// capability (-1 for its own).
HINT_EXPORTED void hint_emulator_pretend(int driver, int toMajor, int toMinor) {
  driverVersion = driver >= 0 ? driver : CUDART_VERSION;
  major = toMajor;
  minor = toMinor;
}
/// Number of CUDA calls since the last hint_emulator_refuse_calls.
HINT_EXPORTED int64_t hint_emulator_calls() {
  const std::lock_guard lock(refusals.mutex);
  return refusals.calls;
}
/// Name of the first of them that failed.
HINT_EXPORTED const char* hint_emulator_refused() { return refusals.refused.c_str(); }
/// Number of allocations, streams, events and graphs that have not been given back.
HINT_EXPORTED int64_t hint_emulator_live() { return liveObjects(); }
/// Number of kernels, memsets and copies inside the device so far.
HINT_EXPORTED int64_t hint_emulator_launches() { return launches; }
void hint_emulator_queue(cudaStream_t stream, const std::function<void()>& work) { enqueue(streamOf(stream), work); }

extern "C" {

cudaError_t cudaMalloc(void** pointer, size_t bytes) { return allocate("cudaMalloc", pointer, bytes, false); }
cudaError_t cudaFree(void* pointer) { return release("cudaFree", pointer); }
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
  return allocate("cudaHostAlloc", pointer, bytes, true);
}
cudaError_t cudaFreeHost(void* pointer) { return release("cudaFreeHost", pointer); }
cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  if (const cudaError_t code = outcome("cudaHostGetDevicePointer")) return code;
  *device = host;
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return copy("cudaMemcpyAsync", to, from, bytes, kind, stream);
}
cudaError_t cudaMemset(void* to, int value, size_t bytes) { return clear("cudaMemset", to, value, bytes, nullptr); }
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return clear("cudaMemsetAsync", to, value, bytes, stream);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  if (const cudaError_t code = outcome("cudaMemGetInfo")) return code;
  *total = kMemory;
  *free = kMemory - memoryInUse();
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  if (const cudaError_t code = outcome("cudaStreamCreateWithFlags")) return code;
  *stream = reinterpret_cast<cudaStream_t>(newStream());
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  destroyStream(&streamOf(stream));
  return outcome("cudaStreamDestroy");
}
cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  Stream& stream = streamOf(handle);
  if (spoilsCapture(stream)) return returned(cudaErrorStreamCaptureUnsupported);
  wait(stream, queuedOn(stream));
  return outcome("cudaStreamSynchronize");
}
cudaError_t cudaDeviceSynchronize() {
  if (isAnyCapturing()) return returned(cudaErrorStreamCaptureUnsupported);
  waitForAll();
  return outcome("cudaDeviceSynchronize");
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  if (const cudaError_t code = outcome("cudaEventCreateWithFlags")) return code;
  *event = reinterpret_cast<cudaEvent_t>(new Event);
  count(1);
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (!event) return returned(cudaErrorInvalidResourceHandle);
  delete eventOf(event);
  count(-1);
  return outcome("cudaEventDestroy");
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  if (const cudaError_t code = outcome("cudaEventRecord")) return code;
  Stream& stream = streamOf(handle);
  *eventOf(event) = {&stream, queuedOn(stream)};
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (eventOf(event)->stream) wait(*eventOf(event)->stream, eventOf(event)->count);
  return outcome("cudaEventSynchronize");
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (const cudaError_t code = outcome("cudaEventQuery")) return code;
  return !eventOf(event)->stream || isDone(*eventOf(event)->stream, eventOf(event)->count) ? cudaSuccess
                                                                                           : cudaErrorNotReady;
}
cudaError_t cudaSetDevice(int) { return outcome("cudaSetDevice"); }
cudaError_t cudaGetDeviceCount(int* count) {
  if (driverVersion / 1000 < CUDART_VERSION / 1000) return returned(cudaErrorInsufficientDriver);
  *count = 1;
  return outcome("cudaGetDeviceCount");
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  std::strcpy(properties->name, device().name);
  properties->major = major >= 0 ? major : device().major;
  properties->minor = major >= 0 ? minor : device().minor;
  properties->multiProcessorCount = device().multiprocessors;
  properties->totalGlobalMem = kMemory;
  return outcome("cudaGetDeviceProperties");
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value =
      attribute == cudaDevAttrMultiProcessorCount ? device().multiprocessors : static_cast<int>(device().sharedBytes);
  return outcome("cudaDeviceGetAttribute");
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  if (const cudaError_t code = outcome("cudaFuncGetAttributes")) return code;
  *attributes = {};
  // Static shared memory is known only after a run, so this is the most that any kernel has.
  attributes->sharedSizeBytes = size_t{1} << 10;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  if (const cudaError_t code = outcome("cudaFuncSetAttribute")) return code;
  return returned(allowShared(kernel, value));
}
cudaError_t cudaGetLastError() { return std::exchange(lastError, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return lastError; }
const char* cudaGetErrorString(cudaError_t code) {
  static thread_local std::string text;
  return (text = "emulated error " + std::to_string(code)).c_str();
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = driverVersion;
  return cudaSuccess;
}
}
