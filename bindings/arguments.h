#pragma once

#include <napi.h>

#include <array>
#include <string>

#include "native/core/error.h"
#include "native/core/tensor.h"

/// Reads what JavaScript passed, converting nothing: a number is a number and not an object with a valueOf, so no
/// JavaScript runs. It may only run while the elements of an array are read (they can have getters), where it can close
/// devices, release tensors and detach arrays: exports read all items first, then everything else.
namespace hint::binding {

/// The elements of an array, read once.
class Items {
 public:
  /// Throws INVALID_ARGUMENT, naming the argument, when `value` is no array or has more than `most` elements.
  Items(const Napi::Value& value, const char* name, size_t most);

  uint32_t size() const { return size_; }
  /// Undefined from the end on.
  Napi::Value operator[](uint32_t i) const { return {env_, i < size_ ? values_[i] : undefined_}; }

  static constexpr size_t kMost = 32;

 private:
  napi_env env_;
  napi_value undefined_;
  uint32_t size_;
  std::array<napi_value, kMost> values_;
};

/// Each throws INVALID_ARGUMENT, naming the argument as `name`, when the value is of another kind or out of range.
double numberOf(const Napi::Value& value, const char* name);
int64_t wholeNumberOf(const Napi::Value& value, const char* name, int64_t least, int64_t most);
std::string wordOf(const Napi::Value& value, const char* name, size_t most = 64);
bool flagOf(const Napi::Value& value, const char* name);
DType dtypeOf(const Napi::Value& value);
inline bool isAbsent(const Napi::Value& value) {
  const napi_valuetype type = value.Type();
  return type == napi_null || type == napi_undefined;
}

/// Some of the values that an export was called with, which it reads without running JavaScript: a list that is read
/// for every call of an op is given as values of the call, because Node-API takes longer for an element of an array.
class Arguments {
 public:
  /// Those from `first` on.
  Arguments(const Napi::CallbackInfo& info, size_t first, size_t size) : info_(info), first_(first), size_(size) {}

  size_t size() const { return size_; }
  /// Undefined where the caller has left it out.
  Napi::Value operator[](size_t i) const { return info_[first_ + i]; }
  /// Where the next ones begin.
  size_t end() const { return first_ + size_; }

 private:
  const Napi::CallbackInfo& info_;
  size_t first_, size_;
};

/// The largest whole number that JavaScript tells from its neighbours.
constexpr int64_t kMostWhole = (int64_t{1} << 53) - 1;

/// Sides of at most kMostSides dimensions; throws INVALID_SHAPE for others, and when the tensor is too large.
Shape shapeOf(const Items& sides);
constexpr size_t kMostSides = 8;

struct Bytes {
  const uint8_t* data;
  size_t size;
};
/// Of a typed array, until JavaScript runs again; none when it is detached.
Bytes bytesOf(const Napi::Value& value, const char* name);
/// The elements of a Float64Array, until JavaScript runs again. Throws INVALID_ARGUMENT when there are fewer than
/// `least`.
double* doublesOf(const Napi::Value& value, const char* name, size_t least);

}  // namespace hint::binding
