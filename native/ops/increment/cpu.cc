#include <algorithm>

#include "native/ops/increment/increment.h"

namespace hint::increment {

void forward(Call& call) {
  const int64_t by = call.integer("by"), limit = call.integer("limit");
  int32_t* x = call.in(kX).data<int32_t>();
  // The sum is computed in 64 bits, so that it does not overflow; the minimum with `limit` fits 32 bits.
  for (int64_t i = 0; i < call.dim("n"); ++i)
    x[i] = static_cast<int32_t>(std::clamp<int64_t>(x[i] + by, INT32_MIN, limit));
}

}  // namespace hint::increment
