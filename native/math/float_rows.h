#pragma once

#include <cstdint>

#include "native/core/tensor.h"
#include "native/math/bf16.h"

/// Values that may be f32 or bf16, for kernels that compute in f32: what is widened or rounded at a time is as much as
/// stays in the nearest cache, so that memory moves two bytes a value and not four.
namespace hint {

/// Reads values as floats: where they are, or widened into `room`.
class FloatReader {
 public:
  FloatReader(const float* values) : values_(values) {}
  /// Of a tensor that may be absent.
  explicit FloatReader(const Tensor& tensor)
      : values_(tensor ? addressOf(tensor) : nullptr), isHalf_(tensor && tensor.dtype == DType::bf16) {}

  explicit operator bool() const { return values_ != nullptr; }
  /// Whether values are bf16, so that read() needs room.
  bool isHalf() const { return isHalf_; }
  const float* read(int64_t begin, int64_t count, float* room) const {
    if (!isHalf_) return static_cast<const float*>(values_) + begin;
    fromBf16(halves() + begin, room, count);
    return room;
  }
  /// Of bf16 values.
  const uint16_t* halves() const { return static_cast<const uint16_t*>(values_); }
  /// The address of a value.
  const char* at(int64_t index) const { return static_cast<const char*>(values_) + index * bytes(); }
  /// Bytes of a value.
  int64_t bytes() const { return isHalf_ ? 2 : 4; }
  /// What begins `count` values further on.
  FloatReader from(int64_t count) const {
    FloatReader rest = *this;
    rest.values_ = at(count);
    return rest;
  }

 private:
  const void* values_;
  bool isHalf_ = false;
};

/// Writes floats: where they are made, or rounded from `room`.
class FloatWriter {
 public:
  FloatWriter(float* values) : values_(values) {}
  explicit FloatWriter(const Tensor& tensor) : values_(addressOf(tensor)), isHalf_(tensor.dtype == DType::bf16) {}

  bool isHalf() const { return isHalf_; }
  /// Where the values from `begin` on are to be put before write() takes them.
  float* place(int64_t begin, float* room) const { return isHalf_ ? room : static_cast<float*>(values_) + begin; }
  void write(int64_t begin, int64_t count, const float* from) const {
    if (isHalf_) roundToBf16(from, static_cast<uint16_t*>(values_) + begin, count);
  }
  /// The address of a value.
  char* at(int64_t index) const { return static_cast<char*>(values_) + index * bytes(); }
  /// Bytes of a value.
  int64_t bytes() const { return isHalf_ ? 2 : 4; }
  /// What begins `count` values further on.
  FloatWriter from(int64_t count) const {
    FloatWriter rest = *this;
    rest.values_ = at(count);
    return rest;
  }

 private:
  void* values_;
  bool isHalf_ = false;
};

}  // namespace hint
