#include <algorithm>

#include "native/math/bf16.h"
#include "native/ops/cast/cast.h"
#include "native/runtime/cpu/simulated_rounding.h"
#include "native/runtime/parallel.h"

namespace hint::cast {
namespace {

template <typename From, typename To>
void convert(const Call& call, void (*range)(const From*, To*, int64_t)) {
  const From* x = call.in(kX).data<From>();
  To* y = call.out(kY).data<To>();
  parallelFor(call.dim("n"), kElementGrain,
              [&](int64_t begin, int64_t end) { range(x + begin, y + begin, end - begin); });
}

template <typename Word>
void same(const Word* x, Word* y, int64_t count) {
  std::copy_n(x, count, y);
}

}  // namespace

void forward(Call& call) {
  const DType from = call.in(kX).dtype, to = call.out(kY).dtype;
  if (from == DType::f32 && to == DType::bf16)
    storeAsBf16(call.in(kX).data<float>(), call.out(kY).data<uint16_t>(), call.dim("n"));
  else if (from == DType::bf16 && to == DType::f32)
    convert(call, fromBf16);
  else if (from == DType::f32)
    convert(call, same<uint32_t>);
  else
    convert(call, same<uint16_t>);
}

}  // namespace hint::cast
