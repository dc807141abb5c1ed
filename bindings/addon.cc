#include <dlfcn.h>
#include <napi.h>

#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "bindings/convert.h"
#include "bindings/environment.h"
#include "native/runtime/cuda_library.h"
#include "native/runtime/finite.h"
#include "native/runtime/gemm.h"
#include "native/runtime/parallel.h"

/// The whole native face: tensors, streams and one generic way to enqueue an op. No arithmetic.
namespace hint::binding {
namespace {

using Info = Napi::CallbackInfo;

/// Turns native errors into JavaScript ones, for every exported function.
template <Napi::Value (*Function)(const Info&)>
Napi::Value guarded(const Info& info) {
  try {
    return Function(info);
  } catch (const Error& error) {
    throw toJavaScript(info.Env(), error);
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw toJavaScript(info.Env(), Error("INTERNAL", error.what()));
  }
}

struct Bytes {
  const uint8_t* data;
  size_t size;
};

Bytes bytesOf(const Napi::Value& value) {
  if (value.IsTypedArray()) {
    const auto array = value.As<Napi::TypedArray>();
    return {static_cast<const uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
  }
  fail("INVALID_ARGUMENT", "A typed array was expected here.");
}

/// Where this module lies, which is where its companion for CUDA is.
std::string moduleFolder() {
  Dl_info where;
  if (!dladdr(reinterpret_cast<void*>(&moduleFolder), &where) || !where.dli_fname) return ".";
  const std::string path = where.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

/// (threads, memory limit, kind, index)
Napi::Value createDevice(const Info& info) {
  const int threads = info[0].ToNumber().Int32Value();
  const double limit = info[1].ToNumber().DoubleValue();
  const std::string kind = info[2].IsUndefined() ? "cpu" : info[2].ToString().Utf8Value();
  if (kind != "cpu" && kind != "cuda")
    fail("INVALID_ARGUMENT", "The device \"", kind, "\" is unknown; use cpu or cuda.");
  auto backend = kind == "cuda" ? cudaBackend(moduleFolder(), info[3].ToNumber().Int32Value()) : hostBackend();
  DeviceHandle device;
  device.stream = Environment::of(info.Env())
                      .adopt(std::make_unique<Stream>(std::move(backend), threads, static_cast<size_t>(limit)));
  return wrapHandle(info.Env(), std::move(device));
}

Napi::Value closeDevice(const Info& info) {
  handleOf<DeviceHandle>(info[0], "A device was expected here.").stream.reset();
  return info.Env().Undefined();
}

/// (device, dtype, shape, data | null)
Napi::Value createTensor(const Info& info) {
  Stream& stream = streamOf(info[0]);
  Tensor tensor;
  tensor.dtype = dtypeFromName(info[1].ToString().Utf8Value());
  tensor.shape = shapeOf(info[2]);
  tensor.buffer = stream.buffer(tensor.bytes());
  if (!info[3].IsNull() && !info[3].IsUndefined()) {
    const Bytes bytes = bytesOf(info[3]);
    if (bytes.size != tensor.bytes())
      fail("INVALID_SHAPE", "A ", nameOf(tensor.dtype), " tensor of shape ", toString(tensor.shape), " takes ",
           tensor.bytes(), " bytes; the data has ", bytes.size, ".");
    if (stream.type() != DeviceType::cpu)
      stream.write(tensor, 0, std::vector<uint8_t>(bytes.data, bytes.data + bytes.size));
    else if (bytes.size)
      // Nobody else knows this buffer yet, so the copy needs no place in the stream.
      std::memcpy(tensor.buffer->ensure(), bytes.data, bytes.size);
  }
  return wrap(info.Env(), std::move(tensor));
}

/// (file descriptor) -> handle, or null where the file cannot be mapped
Napi::Value mapFile(const Info& info) {
  FileHandle handle;
  handle.file = MappedFile::open(info[0].ToNumber().Int32Value());
  return handle.file ? wrapHandle(info.Env(), std::move(handle)) : info.Env().Null();
}

/// (device, file, dtype, shape, byte position): a tensor of a file's bytes, for devices that compute in host memory
Napi::Value mapTensor(const Info& info) {
  Stream& stream = streamOf(info[0]);
  if (stream.type() != DeviceType::cpu)
    fail("NOT_SUPPORTED", "A file can be mapped for the CPU only; read it into a tensor instead.");
  const auto& file = handleOf<FileHandle>(info[1], "A mapped file was expected here.").file;
  const auto position = static_cast<int64_t>(info[4].ToNumber().DoubleValue());
  return wrap(info.Env(), file->tensor(stream.sharedAllocator(), dtypeFromName(info[2].ToString().Utf8Value()),
                                       shapeOf(info[3]), position));
}

/// (device, tensor): in stream order
Napi::Value releasePages(const Info& info) {
  Stream& stream = streamOf(info[0]);
  stream.post([tensor = tensorOf(info[1]).tensor] { hint::releasePages(tensor); });
  return info.Env().Undefined();
}

/// (device, tensor) -> Promise<number>: -1 where every value is finite
Napi::Value firstNonFinite(const Info& info) {
  const auto& stream = sharedStreamOf(info[0]);
  const Tensor tensor = tensorOf(info[1]).tensor;
  if (!tensor) fail("INVALID_ARGUMENT", "This tensor was released; check it before disposing it.");
  return Environment::of(info.Env()).promise(info.Env(), stream, [tensor]() -> Environment::Finish {
    const auto index = static_cast<double>(hint::firstNonFinite(tensor));
    if (const auto failure = tensor.buffer->knownFailure()) throw Error(*failure);
    return [index](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, index); };
  });
}

/// (tensor, element offset, shape, spares)
Napi::Value viewTensor(const Info& info) {
  Tensor view = tensorOf(info[0]).tensor;
  const auto offset = static_cast<int64_t>(info[1].ToNumber().DoubleValue());
  Shape shape = shapeOf(info[2]);
  if (offset < 0 || offset + elementCount(shape) > view.size())
    fail("INVALID_SHAPE", "A view of shape ", toString(shape), " at element ", offset,
         " does not fit into a tensor of shape ", toString(view.shape), ".");
  view.offset += offset;
  view.shape = std::move(shape);
  return Spares(info[3]).wrap(info.Env(), std::move(view));
}

/// (tensor): another handle to the same memory.
Napi::Value cloneTensor(const Info& info) { return wrap(info.Env(), tensorOf(info[0]).tensor); }

Napi::Value releaseTensor(const Info& info) {
  tensorOf(info[0]).tensor.buffer.reset();
  return info.Env().Undefined();
}

const OpSpec& opAt(const Napi::Value& value) {
  const uint32_t index = value.ToNumber().Uint32Value();
  if (index >= opTable().size()) fail("INVALID_ARGUMENT", "There is no op number ", index, ".");
  return opTable()[index];
}

void requireBuffers(const Call& call) {
  for (size_t i = 0; i < call.inputs.size(); ++i)
    if (call.inputPresent[i] && !call.inputs[i])
      fail("INVALID_ARGUMENT", call.describe(), ": the tensor given as ", call.spec->inputs[i].name,
           " was released; keep it until its last use.");
}

/// (device, op, inputs, attributes, save, spares) -> outputs as [handle, shape, dtype] or null; with `save` the call
/// for enqueueBackward behind them.
Napi::Value enqueue(const Info& info) {
  Stream& stream = streamOf(info[0]);
  auto call = std::make_unique<Call>(opAt(info[1]));
  readTensors(info[2].As<Napi::Array>(), call->spec->inputs.size(), call->inputs, call->inputPresent);
  readAttributes(*call, info[3].As<Napi::Array>());
  requireBuffers(*call);
  call->bind();
  const auto count = static_cast<uint32_t>(call->outputs.size());
  for (size_t i = 0; i < count; ++i)
    if (call->outputPresent[i]) call->outputs[i].buffer = stream.buffer(call->outputs[i].bytes());
  Napi::Array outputs = Napi::Array::New(info.Env());
  Spares spares(info[5]);
  for (uint32_t i = 0; i < count; ++i)
    outputs.Set(i, call->outputPresent[i] ? describeTensor(info.Env(), call->outputs[i], spares) : info.Env().Null());
  if (info[4].ToBoolean().Value()) outputs.Set(count, wrapForBackward(info.Env(), *call));
  stream.enqueue(std::move(call));
  return outputs;
}

/// (device, saved call, gradOutputs, gradInputs, betas): takes the saved call.
Napi::Value enqueueBackward(const Info& info) {
  Stream& stream = streamOf(info[0]);
  auto& saved = handleOf<CallHandle>(info[1], "A saved call was expected here.");
  if (!saved.call) fail("INVALID_ARGUMENT", "This call was walked backwards already; record it again.");
  auto call = std::move(saved.call);
  std::vector<bool> present;
  readTensors(info[2].As<Napi::Array>(), call->spec->outputs.size(), call->gradOutputs, present);
  readTensors(info[3].As<Napi::Array>(), call->spec->inputs.size(), call->gradInputs, present);
  const auto betas = info[4].As<Napi::Array>();
  call->betas.resize(call->gradInputs.size(), 0.0f);
  for (uint32_t i = 0; i < call->betas.size(); ++i)
    if (call->gradInputs[i]) call->betas[i] = betas.Get(i).ToNumber().FloatValue();
  call->backward = true;
  call->checkGradients();
  stream.enqueue(std::move(call));
  return info.Env().Undefined();
}

/// (saved call): gives its memory back where nothing needs its backward pass.
Napi::Value releaseCall(const Info& info) {
  handleOf<CallHandle>(info[0], "A saved call was expected here.").call.reset();
  return info.Env().Undefined();
}

/// (device, destination, source): destination = source, in the memory that destination has.
Napi::Value assignTensor(const Info& info) {
  Stream& stream = streamOf(info[0]);
  const Tensor destination = tensorOf(info[1]).tensor, source = tensorOf(info[2]).tensor;
  if (!destination || !source) fail("INVALID_ARGUMENT", "A released tensor cannot be assigned or assigned to.");
  // Of all kernels, copy's backward is the one that writes plain values to memory that is there already.
  auto call = std::make_unique<Call>(findOp("copy"));
  call->inputs = {destination};
  call->inputPresent = {true};
  call->bind();
  call->outputs = call->gradOutputs = {source};
  call->gradInputs = {destination};
  call->betas = {0.0f};
  call->backward = true;
  stream.enqueue(std::move(call));
  return info.Env().Undefined();
}

/// (device, tensor, byte offset, data): an update in stream order.
Napi::Value writeTensor(const Info& info) {
  Stream& stream = streamOf(info[0]);
  Tensor tensor = tensorOf(info[1]).tensor;
  const auto offset = static_cast<size_t>(info[2].ToNumber().DoubleValue());
  const Bytes bytes = bytesOf(info[3]);
  if (offset + bytes.size > tensor.bytes())
    fail("INVALID_SHAPE", "Writing ", bytes.size, " bytes at byte ", offset, " exceeds a tensor of ", tensor.bytes(),
         " bytes.");
  stream.write(std::move(tensor), offset, std::vector<uint8_t>(bytes.data, bytes.data + bytes.size));
  return info.Env().Undefined();
}

/// Throws what a device found out too late to stop the commands behind it.
void throwFirst(const std::vector<std::shared_ptr<DeferredCheck>>& checks) {
  for (const auto& check : checks)
    if (const auto error = check->error()) {
      check->reported = true;
      throw Error(*error);
    }
}

/// (device, tensor) -> Promise<ArrayBuffer>
Napi::Value readTensor(const Info& info) {
  const auto& shared = sharedStreamOf(info[0]);
  Tensor tensor = tensorOf(info[1]).tensor;
  if (!tensor) fail("INVALID_ARGUMENT", "This tensor was released; read it before disposing it.");
  return Environment::of(info.Env()).promise(info.Env(), shared, [tensor, &stream = *shared]() -> Environment::Finish {
    if (const auto failure = tensor.buffer->knownFailure()) {
      stream.takeFailure();
      throw Error(*failure);
    }
    if (tensor.bytes() && !tensor.buffer->data())
      fail("INVALID_ARGUMENT", "A tensor of shape ", toString(tensor.shape),
           " was read before anything was written to it.");
    const size_t bytes = tensor.bytes();
    auto copy = std::shared_ptr<void>(std::malloc(bytes ? bytes : 1), std::free);
    if (!copy) fail("OUT_OF_MEMORY", "No host memory for a copy of ", bytes, " bytes.");
    if (bytes) stream.read(tensor, copy.get());
    return [copy, bytes, checks = tensor.buffer->checks](Napi::Env env) -> Napi::Value {
      throwFirst(checks);
      // The copy is handed over, not copied again: a checkpoint must not stall the event loop.
      auto* keep = new std::shared_ptr<void>(copy);
      return Napi::ArrayBuffer::New(
          env, copy.get(), bytes, [](Napi::Env, void*, std::shared_ptr<void>* kept) { delete kept; }, keep);
    };
  });
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
      std::vector<std::shared_ptr<DeferredCheck>> unreported;
      for (const auto& check : checks)
        if (!check->reported) unreported.push_back(check);
      throwFirst(unreported);
      return env.Undefined();
    };
  });
}

Napi::Value beginRecording(const Info& info) {
  streamOf(info[0]).beginRecording();
  return info.Env().Undefined();
}

/// What a JavaScript program handle points to.
struct ProgramHandle {
  std::shared_ptr<Program> program;
  DeviceHandle* device;
};

Napi::Value endRecording(const Info& info) {
  auto* handle = new ProgramHandle{streamOf(info[0]).endRecording(), info[0].As<Napi::External<DeviceHandle>>().Data()};
  return Napi::External<ProgramHandle>::New(info.Env(), handle, [](Napi::Env, ProgramHandle* held) { delete held; });
}

/// (device, program): takes the program out of its handle, for the next endRecording to give.
Napi::Value resumeRecording(const Info& info) {
  auto program = std::exchange(info[1].As<Napi::External<ProgramHandle>>().Data()->program, nullptr);
  if (!program) fail("INVALID_ARGUMENT", "This program was disposed; record it again.");
  streamOf(info[0]).resumeRecording(std::move(program));
  return info.Env().Undefined();
}

/// (program), while its device lives: its calls and their memory go once what is queued has run, on the stream's
/// thread; collecting the handle may come much later.
Napi::Value releaseProgram(const Info& info) {
  auto* handle = info[0].As<Napi::External<ProgramHandle>>().Data();
  auto program = std::exchange(handle->program, nullptr);
  if (program && handle->device->stream) handle->device->stream->post([held = std::move(program)] {});
  return info.Env().Undefined();
}

/// (device, program, times, stop tensor | null): long replays are sent in pieces, so that JavaScript can cancel
/// between.
Napi::Value replay(const Info& info) {
  auto program = info[1].As<Napi::External<ProgramHandle>>().Data()->program;
  if (!program) fail("INVALID_ARGUMENT", "This program was disposed; record it again.");
  const Tensor stop = info[3].IsNull() ? Tensor{} : tensorOf(info[3]).tensor;
  streamOf(info[0]).replay(std::move(program), info[2].ToNumber().Int32Value(), stop);
  return info.Env().Undefined();
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

Napi::Value resetPeakMemory(const Info& info) {
  streamOf(info[0]).allocator().resetPeak();
  return info.Env().Undefined();
}

Napi::Value setThreads(const Info& info) {
  streamOf(info[0]).setThreads(info[1].ToNumber().Int32Value());
  return info.Env().Undefined();
}

Napi::Value ops(const Info& info) { return describeOps(info.Env()); }

Napi::Value platform(const Info& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("oneDNN", gemmLibraryVersion());
  object.Set("cores", availableCores());
  Napi::Array isa = Napi::Array::New(info.Env());
#if defined(__x86_64__)
  __builtin_cpu_init();
  uint32_t count = 0;
  if (__builtin_cpu_supports("avx2")) isa.Set(count++, "avx2");
  if (__builtin_cpu_supports("avx512f")) isa.Set(count++, "avx512f");
  if (__builtin_cpu_supports("avx512vnni")) isa.Set(count++, "avx512vnni");
  if (__builtin_cpu_supports("avx512bf16")) isa.Set(count++, "avx512bf16");
#endif
  object.Set("isa", isa);
  return object;
}

/// What CUDA offers here: devices, versions, or the reason why there is none.
Napi::Value cuda(const Info& info) {
  const CudaStatus status = cudaStatus(moduleFolder());
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

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment(env));
#define HINT_EXPORT(name) exports.Set(#name, Napi::Function::New<guarded<name>>(env, #name))
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
  HINT_EXPORT(resetPeakMemory);
  HINT_EXPORT(setThreads);
  HINT_EXPORT(ops);
  HINT_EXPORT(platform);
  HINT_EXPORT(cuda);
#undef HINT_EXPORT
  return exports;
}

}  // namespace
}  // namespace hint::binding

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return hint::binding::initialise(env, exports); }
NODE_API_MODULE(hint, Init)
