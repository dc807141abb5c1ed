#include "native/core/tensor.h"

#include "native/core/error.h"
#include "native/core/planted_fault.h"

namespace hint {

void failProduct(int64_t a, int64_t b) {
  fail("INVALID_SHAPE", "A size of ", a, " times ", b,
       " is none that memory could have; check the sides of the shapes.");
}

int64_t elementCount(const Shape& shape) {
  int64_t count = 1;
  bool isEmpty = false, fits = true;
  for (int64_t side : shape) {
    isEmpty |= side == 0;
    fits = fits && side >= 0 && !__builtin_mul_overflow(count, side == 0 ? 1 : side, &count);
  }
  if (isPlanted(PlantedFault::overflow)) return isEmpty ? 0 : count;
  const int64_t most = isEmpty ? kMostEmptySides : kMostElements;
  if (!fits || count > most)
    fail("INVALID_SHAPE", "A tensor of shape ", toString(shape), " is too large: the product of its sides",
         isEmpty ? " that are not 0" : "", " may be ", most, " at most.");
  return isEmpty ? 0 : count;
}

bool overlap(const Tensor& a, const Tensor& b) {
  if (!a || a.buffer != b.buffer) return false;
  const auto begin = [](const Tensor& t) { return t.offset * static_cast<int64_t>(sizeOf(t.dtype)); };
  const auto end = [&](const Tensor& t) { return begin(t) + static_cast<int64_t>(t.bytes()); };
  return begin(a) < end(b) && begin(b) < end(a);
}

std::string toString(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace hint
