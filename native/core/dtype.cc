#include "native/core/dtype.h"

#include <array>

#include "native/core/error.h"

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

}  // namespace hint
