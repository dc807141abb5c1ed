#pragma once

#include <napi.h>

#include <memory>

#include "native/ops/op.h"
#include "native/runtime/stream.h"

namespace hint::binding {

/// What a JavaScript tensor handle points to. Releasing drops the buffer and keeps dtype and shape.
struct TensorHandle {
  Tensor tensor;
};

/// What a JavaScript device handle points to.
struct DeviceHandle {
  std::unique_ptr<Stream> stream;
};

Napi::Value wrap(Napi::Env env, Tensor tensor);
/// Throws INVALID_ARGUMENT when the value is no tensor handle.
TensorHandle& tensorOf(const Napi::Value& value);
Stream& streamOf(const Napi::Value& value);

Shape shapeOf(const Napi::Value& value);
/// `[handle, shape, dtype]`, or null for an absent output.
Napi::Value describeTensor(Napi::Env env, const Tensor& tensor);

/// Fills call.attributes from an array parallel to the spec; undefined takes the default. Throws INVALID_ARGUMENT
/// naming op and attribute when a required one is missing or the kind is wrong.
void readAttributes(Call& call, const Napi::Array& values);
/// Reads tensors parallel to `count` arguments; null is an absent argument.
void readTensors(const Napi::Array& values, size_t count, std::vector<Tensor>& tensors, std::vector<bool>& present);

/// The op table as JavaScript objects.
Napi::Value describeOps(Napi::Env env);

}  // namespace hint::binding
