#include <algorithm>

#include "native/ops/increment/increment.h"

namespace hint::increment {

void forward(Call& call) {
  const int64_t by = call.integer("by"), limit = call.integer("limit");
  int32_t* x = call.in(kX).data<int32_t>();
  // In 64 bits, so that nothing overflows; below the limit it fits again.
  for (int64_t i = 0; i < call.dim("n"); ++i)
    x[i] = static_cast<int32_t>(std::clamp<int64_t>(x[i] + by, INT32_MIN, limit));
}

}  // namespace hint::increment
