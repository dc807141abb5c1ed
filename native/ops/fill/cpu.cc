#include "native/ops/common/elementwise.h"
#include "native/ops/fill/fill.h"
#include "native/runtime/parallel.h"

namespace hint::fill {

void forward(Call& call) {
  float* destination = call.in(kDestination).data<float>();
  const auto value = static_cast<float>(call.number("value"));
  parallelFor(call.dim("n"), kElementGrain,
              [&](int64_t begin, int64_t end) { storeConstant(destination + begin, 0.0f, value, end - begin); });
}

}  // namespace hint::fill
