#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "bindings/convert.h"
#include "bindings/environment.h"
#include "bindings/exports.h"
#include "native/math/finite.h"

namespace hint::binding {
namespace {

/// A copy that the allocator of the C library gives back, and that is null where there is no memory for it.
std::shared_ptr<void> hostMemoryOf(size_t bytes) {
  auto memory = std::shared_ptr<void>(std::malloc(bytes ? bytes : 1), std::free);
  if (!memory) fail("OUT_OF_MEMORY", "No host memory for a copy of ", bytes, " bytes.");
  return memory;
}

/// On the stream: throws why the values of a tensor cannot be read.
void requireValues(const Tensor& tensor) {
  if (const auto failure = tensor.buffer->knownFailure()) throw Error(*failure);
  if (tensor.bytes() && tensor.buffer->isUnwritten())
    fail("INVALID_ARGUMENT", "A tensor of shape ", toString(tensor.shape),
         " was read before anything was written to it.");
}

}  // namespace

/// (device, dtype, shape, data | null, spare handle | undefined)
Napi::Value createTensor(const Info& info) {
  const Items sides(info[2], "shape", kMostSides);
  Spare spare(info[4]);
  Tensor tensor;
  tensor.dtype = dtypeOf(info[1]);
  tensor.shape = shapeOf(sides);
  Stream& stream = streamOf(info[0]);
  tensor.buffer = stream.buffer(tensor.bytes());
  if (!isAbsent(info[3])) {
    const Bytes bytes = bytesOf(info[3], "data");
    if (bytes.size != tensor.bytes())
      fail("INVALID_SHAPE", "A ", nameOf(tensor.dtype), " tensor of shape ", toString(tensor.shape), " takes ",
           tensor.bytes(), " bytes; the data has ", bytes.size, ".");
    if (stream.type() != DeviceType::cpu)
      stream.write(tensor, 0, std::vector<uint8_t>(bytes.data, bytes.data + bytes.size));
    else if (bytes.size)
      // Nobody else knows this buffer yet, so the copy needs no place in the stream.
      std::memcpy(tensor.buffer->ensure(), bytes.data, bytes.size);
  }
  return spare.wrap(info.Env(), tensor);
}

/// (file descriptor) -> handle, or null where the file cannot be mapped
Napi::Value mapFile(const Info& info) {
  FileHandle handle;
  handle.file = MappedFile::open(static_cast<int>(wholeNumberOf(info[0], "descriptor", INT32_MIN, INT32_MAX)));
  return handle.file ? wrapHandle(info.Env(), std::move(handle)) : info.Env().Null();
}

/// (device, file, dtype, shape, byte position): a tensor of a file's bytes, for devices that compute in host memory
Napi::Value mapTensor(const Info& info) {
  const Items sides(info[3], "shape", kMostSides);
  Stream& stream = streamOf(info[0]);
  if (stream.type() != DeviceType::cpu)
    fail("NOT_SUPPORTED", "A file can be mapped for the CPU only; read it into a tensor instead.");
  const auto& file = handleOf<FileHandle>(info[1], "A mapped file was expected here.").file;
  const int64_t position = wholeNumberOf(info[4], "position", 0, kMostWhole);
  return wrap(info.Env(), file->tensor(stream.sharedAllocator(), dtypeOf(info[2]), shapeOf(sides), position));
}

/// (device, tensor): in stream order
Napi::Value releasePages(const Info& info) {
  Stream& stream = streamOf(info[0]);
  const Tensor& tensor = tensorOf(info[1]).tensor;
  stream.requireOwn(tensor, "The tensor whose pages are let go of");
  stream.post([tensor] { hint::releasePages(tensor); });
  return info.Env().Undefined();
}

/// (device, tensor) -> Promise<number>: -1 where every value is finite
Napi::Value firstNonFinite(const Info& info) {
  const auto& stream = sharedStreamOf(info[0]);
  const Tensor tensor = tensorOf(info[1]).tensor;
  stream->requireOwn(tensor, "The tensor to check");
  if (stream->type() != DeviceType::cpu)
    fail("NOT_SUPPORTED", "Values are checked in host memory only; check them before they go to a GPU.");
  return Environment::of(info.Env()).promise(info.Env(), stream, [tensor]() -> Environment::Finish {
    requireValues(tensor);
    const auto index = static_cast<double>(hint::firstNonFinite(tensor));
    if (const auto failure = tensor.buffer->knownFailure()) throw Error(*failure);
    return [index](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, index); };
  });
}

/// (tensor, element offset, shape, spare handle | undefined)
Napi::Value viewTensor(const Info& info) {
  const Items sides(info[2], "shape", kMostSides);
  Spare spare(info[3]);
  const int64_t offset = wholeNumberOf(info[1], "offset", 0, kMostWhole);
  Shape shape = shapeOf(sides);
  Tensor view = tensorOf(info[0]).tensor;
  if (!view) fail("INVALID_ARGUMENT", "The tensor to look into was released; keep it until its last use.");
  const int64_t count = elementCount(shape), size = view.size();
  if (offset > size || count > size - offset)
    fail("INVALID_SHAPE", "A view of shape ", toString(shape), " at element ", offset,
         " does not fit into a tensor of shape ", toString(view.shape), ".");
  view.offset += offset;
  view.shape = std::move(shape);
  return spare.wrap(info.Env(), view);
}

/// (tensor): another handle to the same memory.
Napi::Value cloneTensor(const Info& info) {
  const Tensor& tensor = tensorOf(info[0]).tensor;
  if (!tensor) fail("INVALID_ARGUMENT", "The tensor to share was released; keep it until its last use.");
  return wrap(info.Env(), tensor);
}

Napi::Value releaseTensor(const Info& info) {
  tensorOf(info[0]).tensor.buffer.reset();
  return info.Env().Undefined();
}

/// (device, destination, source): destination = source, in the memory that destination has.
Napi::Value assignTensor(const Info& info) {
  const Tensor &destination = tensorOf(info[1]).tensor, &source = tensorOf(info[2]).tensor;
  streamOf(info[0]).assign(destination, source);
  return info.Env().Undefined();
}

/// (device, tensor, byte offset, data): an update in stream order.
Napi::Value writeTensor(const Info& info) {
  const auto offset = static_cast<size_t>(wholeNumberOf(info[2], "byteOffset", 0, kMostWhole));
  Stream& stream = streamOf(info[0]);
  Tensor tensor = tensorOf(info[1]).tensor;
  stream.requireOwn(tensor, "The tensor to write");
  const Bytes bytes = bytesOf(info[3], "data");
  if (offset > tensor.bytes() || bytes.size > tensor.bytes() - offset)
    fail("INVALID_SHAPE", "Writing ", bytes.size, " bytes at byte ", offset, " exceeds a tensor of ", tensor.bytes(),
         " bytes.");
  stream.write(std::move(tensor), offset, std::vector<uint8_t>(bytes.data, bytes.data + bytes.size));
  return info.Env().Undefined();
}

/// (device, tensor) -> Promise<ArrayBuffer>
Napi::Value readTensor(const Info& info) {
  const auto& shared = sharedStreamOf(info[0]);
  const Tensor tensor = tensorOf(info[1]).tensor;
  shared->requireOwn(tensor, "The tensor to read");
  return Environment::of(info.Env()).promise(info.Env(), shared, [tensor, &stream = *shared]() -> Environment::Finish {
    if (tensor.buffer->knownFailure()) stream.takeFailure();
    requireValues(tensor);
    const size_t bytes = tensor.bytes();
    const std::shared_ptr<void> copy = hostMemoryOf(bytes);
    if (bytes) stream.read(tensor, copy.get());
    return [copy, bytes, checks = tensor.buffer->checks](Napi::Env env) -> Napi::Value {
      throwFirst(checks, true);
      // The copy is handed over, not copied again: a checkpoint must not stall the event loop.
      auto* keep = new std::shared_ptr<void>(copy);
      return Napi::ArrayBuffer::New(
          env, copy.get(), bytes, [](Napi::Env, void*, std::shared_ptr<void>* kept) { delete kept; }, keep);
    };
  });
}

}  // namespace hint::binding
