#include "native/tests/emulator/emulated_device.h"

#include <dlfcn.h>

#include "native/runtime/cuda_library.h"

namespace hint::testing {
namespace {

template <typename Function>
Function emulatorsOwn(const char* name) {
  cudaStatus(HINT_CUDA_FOLDER);  // loads it
  void* library = dlopen(HINT_CUDA_FOLDER "/hint_cuda.so", RTLD_NOW | RTLD_NOLOAD);
  const auto found = library ? reinterpret_cast<Function>(dlsym(library, name)) : nullptr;
  if (!found) fail("INTERNAL", "The library in ", HINT_CUDA_FOLDER, " is not the emulator's.");
  return found;
}

void refuse(const char* call, int after, int code) {
  emulatorsOwn<void (*)(const char*, int, int)>("hint_emulator_refuse")(call, after, code);
}
void pretend(int driver, int major, int minor) {
  emulatorsOwn<void (*)(int, int, int)>("hint_emulator_pretend")(driver, major, minor);
}

}  // namespace

Refusal::Refusal(const char* call, int code, int after) { refuse(call, after, code); }
Refusal::~Refusal() { refuse("", 0, 0); }
Pretence::Pretence(int driver, int major, int minor) { pretend(driver, major, minor); }
Pretence::~Pretence() { pretend(-1, -1, 0); }

std::unique_ptr<Stream> openEmulated() { return std::make_unique<Stream>(cudaBackend(HINT_CUDA_FOLDER, 0)); }

Tensor tensorOf(Stream& stream, DType dtype, Shape shape) {
  Tensor tensor{nullptr, 0, dtype, std::move(shape)};
  tensor.buffer = stream.buffer(tensor.bytes());
  return tensor;
}

Tensor filled(Stream& stream, Shape shape, float value) {
  const auto count = static_cast<size_t>(elementCount(shape));
  return written<float>(stream, DType::f32, std::move(shape), std::vector<float>(count, value));
}

std::unique_ptr<Call> callOf(Stream& stream, const char* op, std::vector<Tensor> inputs,
                             const std::vector<std::pair<std::string, Attribute>>& attributes) {
  auto call = std::make_unique<Call>(findOp(op));
  inputs.resize(call->spec->inputs.size());
  for (const Tensor& input : inputs) call->inputPresent.push_back(static_cast<bool>(input));
  call->inputs = std::move(inputs);
  for (const AttributeSpec& spec : call->spec->attributes) {
    call->attributes.push_back(spec.defaultValue);
    for (const auto& [name, value] : attributes)
      if (name == spec.name) call->attributes.back() = value;
  }
  call->bind();
  for (size_t i = 0; i < call->outputs.size(); ++i)
    if (call->outputPresent[i]) call->outputs[i].buffer = stream.buffer(call->outputs[i].bytes());
  return call;
}

Tensor enqueue(Stream& stream, const char* op, std::vector<Tensor> inputs,
               const std::vector<std::pair<std::string, Attribute>>& attributes) {
  auto call = callOf(stream, op, std::move(inputs), attributes);
  const Tensor first = call->outputs.empty() ? Tensor{} : call->outputs[0];
  stream.enqueue(std::move(call));
  return first;
}

void enqueueIncrement(Stream& stream, const Tensor& x, const Tensor& y) {
  stream.assign(x, enqueue(stream, "add", {x, y}));
}

}  // namespace hint::testing
