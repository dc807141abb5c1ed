#include <cstring>

#include "native/ops/cast/cast.h"
#include "native/ops/elementwise.h"
#include "native/runtime/parallel.h"

namespace hint::cast {
namespace {

HINT_CLONES void narrow(const uint32_t* x, uint16_t* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = x[i];
    // Adding half a unit of the last kept place, less one when that place is even, rounds ties to even.
    const uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
    const uint32_t quietNaN = (bits >> 16) | 0x40u;
    y[i] = static_cast<uint16_t>((bits & 0x7FFFFFFFu) > 0x7F800000u ? quietNaN : rounded);
  }
}

HINT_CLONES void widen(const uint16_t* x, uint32_t* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = static_cast<uint32_t>(x[i]) << 16;
}

template <typename From, typename To>
void convert(const Call& call, void (*range)(const From*, To*, int64_t)) {
  const From* x = call.in(kX).data<From>();
  To* y = call.out(kY).data<To>();
  parallelFor(call.dim("n"), kElementGrain,
              [&](int64_t begin, int64_t end) { range(x + begin, y + begin, end - begin); });
}

template <typename Word>
void same(const Word* x, Word* y, int64_t count) {
  std::memcpy(y, x, static_cast<size_t>(count) * sizeof(Word));
}

}  // namespace

void forward(Call& call) {
  const DType from = call.in(kX).dtype, to = call.out(kY).dtype;
  if (from == DType::f32 && to == DType::bf16)
    convert(call, narrow);
  else if (from == DType::bf16 && to == DType::f32)
    convert(call, widen);
  else if (from == DType::f32)
    convert(call, same<uint32_t>);
  else
    convert(call, same<uint16_t>);
}

}  // namespace hint::cast
