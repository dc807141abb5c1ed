#include "native/tests/case.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "native/core/error.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HINT_POISON 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HINT_POISON 1
#endif
#ifdef HINT_POISON
#include <sanitizer/asan_interface.h>
#endif

namespace hint::testing {
namespace {

constexpr size_t kGuard = 64;
constexpr unsigned char kGuardByte = 0xFF;
int64_t caseOffset = 0;

/// Bytes between the start of the guarded memory and the tensor.
size_t lead(const Tensor& tensor) { return static_cast<size_t>(tensor.offset) * sizeOf(tensor.dtype); }

unsigned char* start(const Tensor& tensor) { return static_cast<unsigned char*>(tensor.buffer->data()); }

DType dtypeOf(const OpSpec& op, size_t index, const CaseInput& input, const Call& call, bool asBf16) {
  const Elements& elements = op.inputs[index].elements;
  if (elements.kind == Elements::Kind::exactly) return elements.dtype;
  if (elements.kind == Elements::Kind::like) return call.in(op.inputIndex(elements.name)).dtype;
  return asBf16 ? DType::bf16 : input.dtype;
}

}  // namespace

const std::shared_ptr<Allocator>& caseAllocator() {
  static const auto allocator = std::make_shared<Allocator>(hostMemory());
  return allocator;
}

void setCaseOffset(int64_t elements) { caseOffset = elements; }

Tensor guardedTensor(DType dtype, const Shape& shape) {
  Tensor tensor{nullptr, 0, dtype, shape};
  const size_t bytes = tensor.bytes();
  if (bytes) tensor.offset = static_cast<int64_t>(kGuard / sizeOf(dtype)) + caseOffset;
  tensor.buffer = std::make_shared<Buffer>(caseAllocator(), bytes ? lead(tensor) + bytes + kGuard : 0);
  if (bytes) std::memset(tensor.buffer->ensure(), kGuardByte, tensor.buffer->bytes());
  return tensor;
}

bool guardsIntact(const Tensor& tensor) {
  if (!tensor || !tensor.buffer->data()) return true;
  const unsigned char *before = start(tensor), *first = before + lead(tensor), *after = first + tensor.bytes();
  const auto intact = [](unsigned char byte) { return byte == kGuardByte; };
  return std::all_of(before, first, intact) && std::all_of(after, after + kGuard, intact);
}

PoisonedGuards::PoisonedGuards(const Call& call) {
  for (const auto* group : {&call.inputs, &call.outputs, &call.gradOutputs, &call.gradInputs})
    for (const Tensor& tensor : *group)
      if (tensor && tensor.buffer->data()) tensors_.push_back(tensor);
#ifdef HINT_POISON
  each([](void* pointer, size_t bytes) { ASAN_POISON_MEMORY_REGION(pointer, bytes); });
#endif
}

PoisonedGuards::~PoisonedGuards() {
#ifdef HINT_POISON
  each([](void* pointer, size_t bytes) { ASAN_UNPOISON_MEMORY_REGION(pointer, bytes); });
#endif
}

void PoisonedGuards::each(void (*visit)(void*, size_t)) const {
  for (const Tensor& tensor : tensors_) {
    visit(start(tensor), lead(tensor));
    visit(start(tensor) + lead(tensor) + tensor.bytes(), kGuard);
  }
}

Doubles toDoubles(const Tensor& tensor) {
  const auto count = static_cast<size_t>(tensor.size());
  Doubles values(count);
  for (size_t i = 0; i < count; ++i) switch (tensor.dtype) {
      case DType::f32:
        values[i] = tensor.data<float>()[i];
        break;
      case DType::i32:
        values[i] = tensor.data<int32_t>()[i];
        break;
      case DType::i8:
        values[i] = tensor.data<int8_t>()[i];
        break;
      case DType::bf16: {
        const uint32_t bits = static_cast<uint32_t>(tensor.data<uint16_t>()[i]) << 16;
        float value;
        std::memcpy(&value, &bits, sizeof value);
        values[i] = value;
      }
    }
  return values;
}

void fillNoise(const Tensor& tensor, uint64_t seed, double scale, double shift) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal(shift, scale);
  for (int64_t i = 0; i < tensor.size(); ++i) {
    const auto value = static_cast<float>(normal(engine));
    if (tensor.dtype == DType::bf16) {
      uint32_t bits;
      std::memcpy(&bits, &value, sizeof bits);
      tensor.data<uint16_t>()[i] = static_cast<uint16_t>(bits >> 16);
    } else if (tensor.dtype == DType::i8) {
      tensor.data<int8_t>()[i] = static_cast<int8_t>(std::clamp(value, -63.0f, 63.0f));
    } else {
      tensor.data<float>()[i] = value;
    }
  }
}

std::vector<Storage> bf16Storages(const OpSpec& op, const OpCase& example) {
  Storage choices;
  for (size_t i = 0; i < example.inputs.size() && i < op.inputs.size(); ++i)
    if (op.inputs[i].elements.kind == Elements::Kind::floating && example.inputs[i] &&
        example.inputs[i]->dtype == DType::f32)
      choices.emplace_back(op.inputs[i].name);
  for (const AttributeSpec& attribute : op.attributes)
    if (attribute.name == std::string_view("outputDType")) choices.emplace_back(kOutputs);
  std::vector<Storage> storages;
  for (size_t set = 1; set < size_t{1} << choices.size(); ++set) {
    storages.emplace_back();
    for (size_t i = 0; i < choices.size(); ++i)
      if (set >> i & 1) storages.back().push_back(choices[i]);
  }
  return storages;
}

Call makeCall(const OpSpec& op, const OpCase& example, const Storage& storage) {
  const auto isBf16 = [&](const char* name) {
    return std::find(storage.begin(), storage.end(), name) != storage.end();
  };
  Call call(op);
  if (example.inputs.size() > op.inputs.size())
    fail("INVALID_ARGUMENT", op.name, ", case \"", example.name, "\": ", example.inputs.size(),
         " inputs, but the op declares ", op.inputs.size(), ".");
  call.inputs.resize(op.inputs.size());
  call.inputPresent.assign(op.inputs.size(), false);
  for (size_t i = 0; i < example.inputs.size(); ++i) {
    if (!example.inputs[i]) continue;
    const CaseInput& input = *example.inputs[i];
    const DType dtype = dtypeOf(op, i, input, call, isBf16(op.inputs[i].name));
    Tensor tensor = guardedTensor(dtype, input.shape);
    if (dtype == DType::i32) {
      if (!input.integers.empty() && static_cast<int64_t>(input.integers.size()) != tensor.size())
        fail("INVALID_ARGUMENT", op.name, ", case \"", example.name, "\": input ", i, " of shape ",
             toString(input.shape), " was given ", input.integers.size(), " integers.");
      for (int64_t k = 0; k < tensor.size(); ++k)
        tensor.data<int32_t>()[k] = input.integers.empty() ? 0 : input.integers[static_cast<size_t>(k)];
    } else {
      fillNoise(tensor, 1 + i, input.scale, input.shift);
    }
    call.inputs[i] = std::move(tensor);
    call.inputPresent[i] = true;
  }
  for (const AttributeSpec& attribute : op.attributes) call.attributes.push_back(attribute.defaultValue);
  for (const auto& given : example.attributes) {
    const auto found = std::find_if(op.attributes.begin(), op.attributes.end(),
                                    [&](const AttributeSpec& spec) { return given.first == spec.name; });
    if (found == op.attributes.end() || found->defaultValue.index() != given.second.index())
      fail("INVALID_ARGUMENT", op.name, ", case \"", example.name, "\": the op has no attribute ", given.first,
           " of that kind.");
    call.attributes[static_cast<size_t>(found - op.attributes.begin())] = given.second;
  }
  for (size_t i = 0; i < op.attributes.size(); ++i)
    if (op.attributes[i].name == std::string_view("outputDType"))
      call.attributes[i] = std::string(isBf16(kOutputs) ? "bf16" : "f32");
  call.bind();
  for (size_t i = 0; i < call.outputs.size(); ++i)
    if (call.outputPresent[i]) call.outputs[i] = guardedTensor(call.outputs[i].dtype, call.outputs[i].shape);
  return call;
}

std::vector<bool> differentiableInputs(const Call& call) {
  std::vector<bool> result(call.inputs.size());
  for (size_t i = 0; i < result.size(); ++i)
    result[i] =
        call.inputPresent[i] && isFloating(call.inputs[i].dtype) && (call.spec->inputs[i].flags & kDifferentiable);
  return result;
}

std::vector<bool> differentiableOutputs(const Call& call) {
  std::vector<bool> result(call.outputs.size());
  for (size_t i = 0; i < result.size(); ++i)
    result[i] =
        call.outputPresent[i] && isFloating(call.outputs[i].dtype) && (call.spec->outputs[i].flags & kDifferentiable);
  return result;
}

Call makeBackward(const Call& forward, const BackwardRequest& request) {
  Call call = forward;
  call.backward = true;
  call.gradInputs.resize(call.inputs.size());
  call.gradOutputs.resize(call.outputs.size());
  call.betas.assign(call.inputs.size(), request.beta);
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (!(call.spec->inputs[i].flags & kSaved)) call.inputs[i].buffer = nullptr;
    if (!request.wanted[i]) continue;
    const bool wide = request.wide && (call.spec->inputs[i].flags & kWideGradient);
    call.gradInputs[i] = guardedTensor(wide ? DType::f32 : call.inputs[i].dtype, call.inputs[i].shape);
    if (request.beta != 0.0f) fillNoise(call.gradInputs[i], 2000 + i);
  }
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    if (!(call.spec->outputs[i].flags & kSaved)) call.outputs[i].buffer = nullptr;
    if (!request.gradPresent[i]) continue;
    call.gradOutputs[i] = guardedTensor(call.outputs[i].dtype, call.outputs[i].shape);
    fillNoise(call.gradOutputs[i], 1000 + i, 1.0, request.gradientShift);
  }
  call.checkGradients();
  return call;
}

}  // namespace hint::testing
