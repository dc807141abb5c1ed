#include "bindings/convert.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "native/core/error.h"
#include "native/core/planted_fault.h"
#include "native/core/table.h"
#include "native/runtime/block_pool.h"

namespace hint::binding {
namespace {

/// Writes what the value says into `attribute`, which has the kind that the declaration gives it.
void readAttribute(const Call& call, const AttributeSpec& spec, const Napi::Value& value, napi_valuetype type,
                   Attribute& attribute) {
  if (auto* whole = std::get_if<int64_t>(&attribute)) {
    if (type == napi_boolean) {
      *whole = int64_t{value.As<Napi::Boolean>().Value()};
      return;
    }
    if (type == napi_number) {
      const double number = value.As<Napi::Number>().DoubleValue();
      if (std::floor(number) == number && std::fabs(number) <= static_cast<double>(kMostWhole)) {
        *whole = static_cast<int64_t>(number);
        return;
      }
      fail("INVALID_ARGUMENT", call.spec->name, ": the attribute ", spec.name, " must be a whole number, not ", number,
           ".");
    }
  } else if (auto* number = std::get_if<double>(&attribute)) {
    if (type == napi_number) {
      *number = value.As<Napi::Number>().DoubleValue();
      return;
    }
  } else if (auto* word = std::get_if<std::string>(&attribute)) {
    if (type == napi_string) {
      *word = wordOf(value, spec.name);
      return;
    }
  } else if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_int32_array) {
    const Bytes bytes = bytesOf(value, spec.name);
    auto& list = std::get<IntList>(attribute);
    list.resize(bytes.size / sizeof(int32_t));
    if (!list.empty()) std::memcpy(list.data(), bytes.data, list.size() * sizeof(int32_t));
    return;
  }
  constexpr const char* kinds[] = {"a whole number", "a number", "a string", "an Int32Array"};
  fail("INVALID_ARGUMENT", call.spec->name, ": the attribute ", spec.name, " must be ",
       kinds[spec.defaultValue.index()], ".");
}

const char* nameOfElements(const Elements& elements) {
  if (elements.kind == Elements::Kind::exactly) return nameOf(elements.dtype);
  return elements.kind == Elements::Kind::any ? "any" : "floating";
}

template <typename Argument>
Napi::Value describeArguments(Napi::Env env, const std::vector<Argument>& arguments) {
  Napi::Array list = Napi::Array::New(env, arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const ArgSpec& arg = arguments[i];
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", arg.name);
    object.Set("shape", arg.shape);
    object.Set("dtype", nameOfElements(arg.elements));
    object.Set("optional", Napi::Boolean::New(env, arg.flags & kOptional));
    object.Set("differentiable", Napi::Boolean::New(env, arg.flags & kDifferentiable));
    object.Set("mutable", Napi::Boolean::New(env, arg.flags & kMutable));
    object.Set("saved", Napi::Boolean::New(env, arg.flags & kSaved));
    list.Set(static_cast<uint32_t>(i), object);
  }
  return list;
}

/// A set of pointers in one table with room to spare. Several are looked up in every call of an op, and each is a
/// single place in memory here.
class PointerSet {
 public:
  bool contains(const void* pointer) const { return pointer && count_ && places_[find(pointer)] == pointer; }
  void insert(const void* pointer) {
    if (2 * (count_ + 1) > places_.size()) grow();
    put(pointer);
    ++count_;
  }
  void erase(const void* pointer) {
    if (!contains(pointer)) return;
    size_t place = find(pointer);
    places_[place] = nullptr;
    --count_;
    // A look-up ends at the first free place: those behind it are put where it finds them.
    while (places_[place = next(place)]) put(std::exchange(places_[place], nullptr));
  }

 private:
  size_t next(size_t place) const { return (place + 1) & (places_.size() - 1); }
  /// Where a pointer is, or the free place where it belongs.
  size_t find(const void* pointer) const {
    constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;
    size_t place = (reinterpret_cast<uintptr_t>(pointer) * kGolden >> 32) & (places_.size() - 1);
    while (places_[place] && places_[place] != pointer) place = next(place);
    return place;
  }
  void put(const void* pointer) { places_[find(pointer)] = pointer; }
  void grow() {
    const std::vector<const void*> old =
        std::exchange(places_, std::vector<const void*>(std::max<size_t>(64, 2 * places_.size())));
    for (const void* pointer : old)
      if (pointer) put(pointer);
  }

  std::vector<const void*> places_;  ///< as many as a power of two, at most half of them taken
  size_t count_ = 0;
};

PointerSet& enrolled() {
  static thread_local PointerSet handles;
  return handles;
}

}  // namespace

void enrol(const Handle* handle) { enrolled().insert(handle); }
void strike(const Handle* handle) { enrolled().erase(handle); }
bool isEnrolled(const void* pointer) { return enrolled().contains(pointer); }

Napi::Value wrap(Napi::Env env, Tensor tensor) {
  TensorHandle handle;
  handle.tensor = std::move(tensor);
  return wrapHandle(env, std::move(handle));
}

TensorHandle& tensorOf(const Napi::Value& value) {
  return handleOf<TensorHandle>(value, "A tensor was expected here; pass a Tensor of this engine.");
}

const std::shared_ptr<Stream>& sharedStreamOf(const Napi::Value& value) {
  auto& device = handleOf<DeviceHandle>(value, "A device was expected here.");
  if (!device.stream) fail("INVALID_ARGUMENT", "This device was closed; create another one.");
  return device.stream;
}

Napi::Value wrapForBackward(Napi::Env env, Call& call, Stream& stream, const Napi::Value& spare) {
  static const auto notRun = std::make_shared<const Error>(
      "INVALID_ARGUMENT",
      "A backward pass was to run whose forward pass has not; replay what was recorded before walking back.");
  call.forwardOutcome = std::allocate_shared<Outcome>(PooledAllocator<Outcome>(), Outcome{notRun, {}});
  CallHandle handle;
  handle.call = stream.call(*call.spec);
  *handle.call = call;
  handle.owner = stream.sharedAllocator();
  const auto dropUnread = [](std::vector<Tensor>& tensors, const std::vector<ArgSpec>& arguments) {
    for (size_t i = 0; i < tensors.size(); ++i)
      if (!(arguments[i].flags & kSaved)) tensors[i].buffer.reset();
  };
  dropUnread(handle.call->inputs, call.spec->inputs);
  dropUnread(handle.call->outputs, call.spec->outputs);
  if (auto* free = handleOrNull<CallHandle>(spare); free && !free->call) {
    handle.kind = free->kind;
    *free = std::move(handle);
    return spare;
  }
  return wrapHandle(env, std::move(handle));
}

Spare::Spare(const Napi::Value& handle) : handle_(handle), tensor_(nullptr) {
  if (!isAbsent(handle)) tensor_ = &tensorOf(handle).tensor;
}

Napi::Value Spare::wrap(Napi::Env env, const Tensor& tensor) {
  // Somebody may use it still.
  if (!tensor_ || *tensor_) return binding::wrap(env, tensor);
  *tensor_ = tensor;
  return handle_;
}

void describeTensor(const Tensor* tensor, double* numbers) {
  *numbers++ = tensor ? static_cast<double>(tensor->shape.size()) : -1;
  if (!tensor) return;
  if (tensor->shape.size() > kMostSides)
    fail("INTERNAL", "An op has made a tensor of ", tensor->shape.size(), " sides.");
  *numbers++ = static_cast<double>(tensor->dtype);
  for (const int64_t side : tensor->shape) *numbers++ = static_cast<double>(side);
}

void readAttributes(Call& call, const Arguments& values) {
  const auto& specs = call.spec->attributes;
  for (size_t i = 0; i < specs.size(); ++i) {
    const Napi::Value value = values[i];
    const napi_valuetype type = value.Type();
    if (type != napi_undefined)
      readAttribute(call, specs[i], value, type, call.attributes[i]);
    else if (specs[i].required)
      fail("INVALID_ARGUMENT", call.spec->name, ": the attribute ", specs[i].name, " is missing.");
  }
}

void readTensors(const Call& call, const Arguments& values, const std::vector<ArgSpec>& arguments,
                 std::vector<Tensor>& tensors, std::vector<bool>& present) {
  tensors.resize(arguments.size());
  present.assign(arguments.size(), false);
  for (size_t i = 0; i < values.size(); ++i) {
    const Napi::Value value = values[i];
    const napi_valuetype type = value.Type();
    if (type == napi_null || type == napi_undefined) continue;
    const auto* handle =
        type == napi_external ? handleOrNull<TensorHandle>(value.As<Napi::External<TensorHandle>>()) : nullptr;
    if (!handle)
      fail("INVALID_ARGUMENT", call.spec->name, ": ", arguments[i].name, " must be a Tensor of this engine.");
    if (!handle->tensor && !isPlanted(PlantedFault::released))
      fail("INVALID_ARGUMENT", call.spec->name, ": the tensor given as ", arguments[i].name,
           " was released; keep it until its last use.");
    tensors[i] = handle->tensor;
    present[i] = true;
  }
}

void throwFirst(const Checks& checks, bool alsoReported) {
  for (const auto& [check, commands] : checks) {
    uint64_t left = alsoReported ? commands : commands & ~check->reported;
    if (!check->error(left)) continue;
    for (; left != 0; left &= left - 1) {
      const uint64_t command = left & ~(left - 1);
      if (const auto error = check->error(command)) {
        check->reported |= command;
        throw Error(*error);
      }
    }
  }
}

Napi::Value describeOps(Napi::Env env) {
  Napi::Array list = Napi::Array::New(env);
  uint32_t index = 0;
  for (const OpSpec& op : opTable()) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", op.name);
    object.Set("summary", op.summary);
    object.Set("inputs", describeArguments(env, op.inputs));
    object.Set("outputs", describeArguments(env, op.outputs));
    object.Set("differentiable", Napi::Boolean::New(env, op.cpu.backward != nullptr));
    Napi::Array attributes = Napi::Array::New(env);
    for (uint32_t i = 0; i < op.attributes.size(); ++i) {
      constexpr const char* kinds[] = {"integer", "number", "string", "list"};
      Napi::Object attribute = Napi::Object::New(env);
      attribute.Set("name", op.attributes[i].name);
      attribute.Set("kind", kinds[op.attributes[i].defaultValue.index()]);
      attribute.Set("required", Napi::Boolean::New(env, op.attributes[i].required));
      attributes.Set(i, attribute);
    }
    object.Set("attributes", attributes);
    list.Set(index++, object);
  }
  return list;
}

}  // namespace hint::binding
