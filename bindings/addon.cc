#include <napi.h>

#include <climits>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "bindings/convert.h"
#include "bindings/environment.h"
#include "bindings/exports.h"
#include "native/math/dot_kernel.h"
#include "native/math/instructions.h"
#include "native/runtime/cpu/simulated_rounding.h"
#include "native/runtime/cuda_library.h"
#include "native/runtime/nvml.h"
#include "native/runtime/parallel.h"

/// The whole native face: tensors, streams and one generic way to enqueue an op. No arithmetic.
namespace hint::binding {
namespace {

/// Turns native errors into JavaScript ones, for every exported function.
template <Napi::Value (*Function)(const Info&)>
Napi::Value guarded(const Info& info) {
  try {
    return Function(info);
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw toJavaScript(info.Env(), *currentError("in the native engine"));
  }
}

/// (folder)
Napi::Value setCudaFolder(const Info& info) {
  useCudaFolder(wordOf(info[0], "folder", PATH_MAX));
  return info.Env().Undefined();
}

/// Of a team. OpenMP ends the process when the system gives it no more threads.
int threadsOf(const Napi::Value& value) { return static_cast<int>(wholeNumberOf(value, "threads", 0, 256)); }

/// (threads, memory limit, kind, index)
Napi::Value createDevice(const Info& info) {
  const int threads = threadsOf(info[0]);
  const auto limit = static_cast<size_t>(wholeNumberOf(info[1], "memoryLimit", 0, kMostWhole));
  const std::string kind = isAbsent(info[2]) ? "cpu" : wordOf(info[2], "device");
  DeviceHandle device;
  std::unique_ptr<Backend> backend;
  if (kind == "cuda")
    backend = cudaBackend(cudaFolder(), static_cast<int>(wholeNumberOf(info[3], "index", 0, INT32_MAX)));
  else if (kind == "cpu")
    backend = hostBackend();
  else if (kind == "trace")
    backend = tracingBackend(device.trace = std::make_shared<Trace>());
  else
    fail("INVALID_ARGUMENT", "The device \"", kind, "\" is unknown; use cpu, cuda or trace.");
  device.stream = Environment::of(info.Env()).adopt(std::make_unique<Stream>(std::move(backend), threads, limit));
  return wrapHandle(info.Env(), std::move(device));
}

Napi::Value closeDevice(const Info& info) {
  handleOf<DeviceHandle>(info[0], "A device was expected here.").stream.reset();
  return info.Env().Undefined();
}

/// Ends every device of this environment, for a process that is about to end: threads that still compute must not see
/// its static objects destroyed.
Napi::Value stopDevices(const Info& info) {
  Environment::of(info.Env()).stopStreams();
  return info.Env().Undefined();
}

/// (device) -> Promise<void>: everything enqueued so far has run; rejects with the first failure not yet reported.
Napi::Value synchronize(const Info& info) {
  const auto& shared = sharedStreamOf(info[0]);
  return Environment::of(info.Env()).promise(info.Env(), shared, [&stream = *shared]() -> Environment::Finish {
    if (const auto failure = stream.takeFailure()) throw Error(*failure);
    return [checks = stream.takeChecks()](Napi::Env env) -> Napi::Value {
      throwFirst(checks, false);
      return env.Undefined();
    };
  });
}

Napi::Value statistics(const Info& info) {
  Stream& stream = streamOf(info[0]);
  const AllocatorStats memory = stream.allocator().stats();
  const StreamStats work = stream.stats();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("bytesInUse", static_cast<double>(memory.inUse));
  object.Set("bytesBorrowed", static_cast<double>(memory.borrowed));
  object.Set("bytesCached", static_cast<double>(memory.cached));
  object.Set("peakBytesInUse", static_cast<double>(memory.peakInUse));
  object.Set("commands", static_cast<double>(work.commands));
  object.Set("flops", work.flops);
  object.Set("queued", static_cast<double>(stream.queued()));
  return object;
}

/// (tracing device) -> what it was asked to do since the last call
Napi::Value takeTrace(const Info& info) {
  auto& device = handleOf<DeviceHandle>(info[0], "A device was expected here.");
  if (!device.trace) fail("INVALID_ARGUMENT", "Only a tracing device notes what it is asked to do.");
  const Napi::Env env = info.Env();
  Napi::Array rows = Napi::Array::New(env);
  for (const TracedCalls& traced : device.trace->take()) {
    Napi::Object row = Napi::Object::New(env), dimensions = Napi::Object::New(env);
    for (const auto& [name, size] : traced.dimensions) dimensions.Set(name, static_cast<double>(size));
    row.Set("op", traced.op);
    row.Set("backward", traced.backward);
    row.Set("dtype", nameOf(traced.dtype));
    row.Set("dimensions", dimensions);
    row.Set("calls", traced.calls);
    row.Set("flops", traced.flops);
    row.Set("bytes", traced.bytes);
    row.Set("passBytes", traced.passBytes);
    row.Set("launches", traced.launches);
    rows.Set(rows.Length(), row);
  }
  return rows;
}

Napi::Value resetPeakMemory(const Info& info) {
  streamOf(info[0]).allocator().resetPeak();
  return info.Env().Undefined();
}

Napi::Value setThreads(const Info& info) {
  streamOf(info[0]).setThreads(threadsOf(info[1]));
  return info.Env().Undefined();
}

/// (device, seed): what is stored as bf16 from now on is rounded by chance, drawn from the seed; 0: to the nearest.
Napi::Value simulateRounding(const Info& info) {
  const auto seed = static_cast<uint64_t>(wholeNumberOf(info[1], "seed", 0, kMostWhole));
  Stream& stream = streamOf(info[0]);
  if (stream.type() != DeviceType::cpu)
    fail("NOT_SUPPORTED", "Rounding is simulated on the CPU only; open a device of it.");
  stream.post([seed] { hint::simulateRounding(seed); });
  return info.Env().Undefined();
}

Napi::Value ops(const Info& info) { return describeOps(info.Env()); }

Napi::Value platform(const Info& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("cores", availableCores());
  Napi::Array isa = Napi::Array::New(info.Env());
  using hint::Instructions;
  static constexpr std::pair<Instructions, const char*> kNames[] = {{Instructions::avx2, "avx2"},
                                                                    {Instructions::avx512, "avx512f"},
                                                                    {Instructions::avx512Vnni, "avx512vnni"},
                                                                    {Instructions::avx512Bf16, "avx512bf16"},
                                                                    {Instructions::amx, "amx-bf16"},
                                                                    {Instructions::amx, "amx-int8"}};
  uint32_t count = 0;
  for (const auto& [set, name] : kNames)
    if (hint::supports(set)) isa.Set(count++, name);
  object.Set("isa", isa);
  Napi::Object products = Napi::Object::New(info.Env());
  products.Set("inferenceBf16", hint::hasDotProducts(hint::DType::bf16));
  products.Set("inferenceInt8", hint::hasDotProducts(hint::DType::i8));
  products.Set("trainingBf16", hint::hasDotProducts(hint::DType::bf16));
  object.Set("products", products);
  return object;
}

/// What CUDA offers here: devices, versions, or the reason why there is none.
Napi::Value cuda(const Info& info) {
  const CudaStatus status = cudaStatus(cudaFolder());
  Napi::Object object = Napi::Object::New(info.Env());
  Napi::Array devices = Napi::Array::New(info.Env(), status.devices.size());
  for (uint32_t i = 0; i < status.devices.size(); ++i) {
    const CudaDevice& device = status.devices[i];
    Napi::Object entry = Napi::Object::New(info.Env());
    entry.Set("name", device.name);
    entry.Set("computeCapability", std::to_string(device.major) + "." + std::to_string(device.minor));
    entry.Set("memory", static_cast<double>(device.memory));
    devices.Set(i, entry);
  }
  object.Set("devices", devices);
  object.Set("reason", status.reason);
  object.Set("gemmLibrary", status.gemmLibrary);
  object.Set("runtime", status.runtime);
  object.Set("driver", status.driver);
  return object;
}

/// (GPU, by its number among those that can be used) -> { joules since its driver was loaded, reason why there are none
/// }
Napi::Value gpuEnergy(const Info& info) {
  const auto index = static_cast<size_t>(wholeNumberOf(info[0], "gpu", 0, INT32_MAX));
  const CudaStatus status = cudaStatus(cudaFolder());
  GpuEnergy energy;
  if (index < status.devices.size())
    energy = hint::gpuEnergy(status.devices[index].pci);
  else if (status.devices.empty())
    energy.reason = "CUDA cannot be used: " + status.reason;
  else
    energy.reason = "there is no GPU number " + std::to_string(index) + ", counted from 0";
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("joules", energy.joules);
  object.Set("reason", energy.reason);
  return object;
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment(env));
#define HINT_EXPORT(name) exports.Set(#name, Napi::Function::New<guarded<name>>(env, #name))
  HINT_EXPORT(setCudaFolder);
  HINT_EXPORT(createDevice);
  HINT_EXPORT(closeDevice);
  HINT_EXPORT(stopDevices);
  HINT_EXPORT(createTensor);
  HINT_EXPORT(mapFile);
  HINT_EXPORT(mapTensor);
  HINT_EXPORT(releasePages);
  HINT_EXPORT(firstNonFinite);
  HINT_EXPORT(viewTensor);
  HINT_EXPORT(cloneTensor);
  HINT_EXPORT(releaseTensor);
  HINT_EXPORT(enqueue);
  HINT_EXPORT(enqueueBackward);
  HINT_EXPORT(releaseCall);
  HINT_EXPORT(assignTensor);
  HINT_EXPORT(writeTensor);
  HINT_EXPORT(readTensor);
  HINT_EXPORT(synchronize);
  HINT_EXPORT(beginRecording);
  HINT_EXPORT(endRecording);
  HINT_EXPORT(resumeRecording);
  HINT_EXPORT(replay);
  HINT_EXPORT(releaseProgram);
  HINT_EXPORT(statistics);
  HINT_EXPORT(takeTrace);
  HINT_EXPORT(resetPeakMemory);
  HINT_EXPORT(setThreads);
  HINT_EXPORT(simulateRounding);
  HINT_EXPORT(ops);
  HINT_EXPORT(platform);
  HINT_EXPORT(cuda);
  HINT_EXPORT(gpuEnergy);
  HINT_EXPORT(mpi);
  HINT_EXPORT(nccl);
  HINT_EXPORT(makeNcclId);
  HINT_EXPORT(joinGroup);
  HINT_EXPORT(joinGpus);
  HINT_EXPORT(exchangeBytes);
  HINT_EXPORT(startCollective);
  HINT_EXPORT(finishCollectives);
  HINT_EXPORT(interruptGroup);
  HINT_EXPORT(groupActivity);
  HINT_EXPORT(groupTimes);
  HINT_EXPORT(takeGroupIntervals);
  HINT_EXPORT(closeGroup);
#undef HINT_EXPORT
  return exports;
}

}  // namespace
}  // namespace hint::binding

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return hint::binding::initialise(env, exports); }
NODE_API_MODULE(hint, Init)
