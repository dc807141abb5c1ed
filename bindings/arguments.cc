#include "bindings/arguments.h"

#include <algorithm>
#include <cmath>

namespace hint::binding {
namespace {

[[noreturn]] void refuse(const Napi::Value& value, const char* name, const std::string& expected) {
  constexpr const char* kinds[] = {"undefined", "null",      "a boolean",  "a number", "a string",
                                   "a symbol",  "an object", "a function", "a handle", "a bigint"};
  const auto kind = static_cast<size_t>(value.Type());
  fail("INVALID_ARGUMENT", name, " must be ", expected, ", not ", kind < std::size(kinds) ? kinds[kind] : "this", ".");
}

}  // namespace

Items::Items(const Napi::Value& value, const char* name, size_t most)
    : env_(value.Env()), undefined_(value.Env().Undefined()), size_(0) {
  if (!value.IsArray()) refuse(value, name, "an array");
  const auto array = value.As<Napi::Array>();
  size_ = array.Length();
  if (size_ > std::min(most, kMost))
    fail("INVALID_ARGUMENT", name, " has ", size_, " elements; there may be ", std::min(most, kMost), " at most.");
  for (uint32_t i = 0; i < size_; ++i) values_[i] = array.Get(i);
}

double numberOf(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) refuse(value, name, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

int64_t wholeNumberOf(const Napi::Value& value, const char* name, int64_t least, int64_t most) {
  const double number = numberOf(value, name);
  if (!(number >= static_cast<double>(least) && number <= static_cast<double>(most) && number == std::floor(number)))
    fail("INVALID_ARGUMENT", name, " must be a whole number from ", least, " to ", most, ", not ", number, ".");
  return static_cast<int64_t>(number);
}

std::string wordOf(const Napi::Value& value, const char* name, size_t most) {
  if (!value.IsString()) refuse(value, name, "a string");
  size_t length = 0;
  if (napi_get_value_string_utf8(value.Env(), value, nullptr, 0, &length) != napi_ok || length > most)
    fail("INVALID_ARGUMENT", name, " must be a word of at most ", most, " bytes, not of ", length, ".");
  return value.As<Napi::String>().Utf8Value();
}

bool flagOf(const Napi::Value& value, const char* name) {
  if (!value.IsBoolean()) refuse(value, name, "true or false");
  return value.As<Napi::Boolean>().Value();
}

DType dtypeOf(const Napi::Value& value) { return dtypeFromName(wordOf(value, "dtype")); }

Shape shapeOf(const Items& sides) {
  Shape shape(sides.size());
  for (uint32_t i = 0; i < sides.size(); ++i) {
    if (!sides[i].IsNumber())
      fail("INVALID_SHAPE", "A tensor's sides must be whole numbers of at least 0; side ", i, " is no number.");
    const double side = sides[i].As<Napi::Number>().DoubleValue();
    if (!(side >= 0 && side <= static_cast<double>(kMostWhole) && side == std::floor(side)))
      fail("INVALID_SHAPE", "A tensor's sides must be whole numbers of at least 0; side ", i, " is ", side, ".");
    shape[i] = static_cast<int64_t>(side);
  }
  elementCount(shape);
  return shape;
}

Bytes bytesOf(const Napi::Value& value, const char* name) {
  auto type = static_cast<napi_typedarray_type>(-1);
  size_t length = 0;
  void* data = nullptr;
  if (!value.IsTypedArray() ||
      napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) != napi_ok)
    refuse(value, name, "a typed array");
  constexpr size_t sizes[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
  if (static_cast<size_t>(type) >= std::size(sizes)) refuse(value, name, "a typed array of numbers");
  return {static_cast<const uint8_t*>(data), checkedBytes(static_cast<int64_t>(length), sizes[type])};
}

double* doublesOf(const Napi::Value& value, const char* name, size_t least) {
  auto type = static_cast<napi_typedarray_type>(-1);
  size_t length = 0;
  void* data = nullptr;
  if (!value.IsTypedArray() ||
      napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_float64_array)
    refuse(value, name, "a Float64Array");
  if (length < least) fail("INVALID_ARGUMENT", name, " has ", length, " elements; ", least, " are needed.");
  return static_cast<double*>(data);
}

}  // namespace hint::binding
