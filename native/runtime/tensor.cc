#include "native/runtime/tensor.h"

#include "native/runtime/error.h"

namespace hint {

const char* nameOf(DType dtype) {
  constexpr std::array<const char*, 4> names = {"f32", "bf16", "i32", "i8"};
  return names[static_cast<size_t>(dtype)];
}

DType dtypeFromName(const std::string& name) {
  for (DType dtype : {DType::f32, DType::bf16, DType::i32, DType::i8})
    if (name == nameOf(dtype)) return dtype;
  fail("INVALID_ARGUMENT", "The dtype \"", name, "\" is unknown; use f32, bf16, i32 or i8.");
}

int64_t elementCount(const Shape& shape) {
  int64_t count = 1;
  for (int64_t side : shape) count *= side;
  return count;
}

std::string toString(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace hint
