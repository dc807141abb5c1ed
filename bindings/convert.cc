#include "bindings/convert.h"

#include <cmath>

#include "native/runtime/error.h"

namespace hint::binding {
namespace {

Attribute readAttribute(const Call& call, const AttributeSpec& spec, const Napi::Value& value) {
  if (std::holds_alternative<int64_t>(spec.defaultValue)) {
    if (value.IsBoolean()) return int64_t{value.As<Napi::Boolean>().Value()};
    if (value.IsNumber()) {
      const double number = value.As<Napi::Number>().DoubleValue();
      if (std::floor(number) == number && std::fabs(number) < 9e15) return static_cast<int64_t>(number);
      fail("INVALID_ARGUMENT", call.spec->name, ": the attribute ", spec.name, " must be a whole number, not ", number,
           ".");
    }
  } else if (std::holds_alternative<double>(spec.defaultValue)) {
    if (value.IsNumber()) return value.As<Napi::Number>().DoubleValue();
  } else if (std::holds_alternative<std::string>(spec.defaultValue)) {
    if (value.IsString()) return value.As<Napi::String>().Utf8Value();
  } else if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_int32_array) {
    const auto array = value.As<Napi::Int32Array>();
    return IntList(array.Data(), array.Data() + array.ElementLength());
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

}  // namespace

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

Shape shapeOf(const Napi::Value& value) {
  const auto array = value.As<Napi::Array>();
  Shape shape(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const double side = array.Get(i).ToNumber().DoubleValue();
    if (!(side >= 0) || side != std::floor(side) || side > 9e15)
      fail("INVALID_SHAPE", "A tensor's sides must be whole numbers of at least 0; side ", i, " is ", side, ".");
    shape[i] = static_cast<int64_t>(side);
  }
  return shape;
}

Napi::Value wrapForBackward(Napi::Env env, const Call& call) {
  CallHandle handle;
  handle.call = std::make_unique<Call>(call);
  const auto dropUnread = [](std::vector<Tensor>& tensors, const std::vector<ArgSpec>& arguments) {
    for (size_t i = 0; i < tensors.size(); ++i)
      if (!(arguments[i].flags & kSaved)) tensors[i].buffer.reset();
  };
  dropUnread(handle.call->inputs, call.spec->inputs);
  dropUnread(handle.call->outputs, call.spec->outputs);
  return wrapHandle(env, std::move(handle));
}

Napi::Value Spares::wrap(Napi::Env env, Tensor tensor) {
  if (left_ == 0) return binding::wrap(env, std::move(tensor));
  const Napi::Value handle = handles_.Get(--left_);
  tensorOf(handle).tensor = std::move(tensor);
  return handle;
}

Napi::Value describeTensor(Napi::Env env, const Tensor& tensor, Spares& spares) {
  Napi::Array shape = Napi::Array::New(env, tensor.shape.size());
  for (size_t i = 0; i < tensor.shape.size(); ++i)
    shape.Set(static_cast<uint32_t>(i), static_cast<double>(tensor.shape[i]));
  Napi::Array triple = Napi::Array::New(env, 3);
  triple.Set(0u, spares.wrap(env, tensor));
  triple.Set(1u, shape);
  triple.Set(2u, nameOf(tensor.dtype));
  return triple;
}

void readAttributes(Call& call, const Napi::Array& values) {
  const auto& specs = call.spec->attributes;
  call.attributes.clear();
  for (size_t i = 0; i < specs.size(); ++i) {
    const Napi::Value value = values.Get(static_cast<uint32_t>(i));
    if (!value.IsUndefined())
      call.attributes.push_back(readAttribute(call, specs[i], value));
    else if (specs[i].required)
      fail("INVALID_ARGUMENT", call.spec->name, ": the attribute ", specs[i].name, " is missing.");
    else
      call.attributes.push_back(specs[i].defaultValue);
  }
}

void readTensors(const Napi::Array& values, size_t count, std::vector<Tensor>& tensors, std::vector<bool>& present) {
  tensors.assign(count, Tensor{});
  present.assign(count, false);
  for (uint32_t i = 0; i < count && i < values.Length(); ++i) {
    const Napi::Value value = values.Get(i);
    if (value.IsNull() || value.IsUndefined()) continue;
    tensors[i] = tensorOf(value).tensor;
    present[i] = true;
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
    object.Set("differentiable", Napi::Boolean::New(env, op.kernels[0].backward != nullptr));
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
