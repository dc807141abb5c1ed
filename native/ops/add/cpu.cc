#include "native/ops/add/add.h"
#include "native/ops/common/elementwise.h"
#include "native/runtime/parallel.h"

namespace hint::add {

void forward(Call& call) {
  const float *a = call.f(kA), *b = call.f(kB);
  float* y = call.o(kY);
  parallelFor(call.dim("n"), kElementGrain,
              [&](int64_t begin, int64_t end) { addTo(y + begin, a + begin, b + begin, end - begin); });
}

void backward(Call& call) {
  const float* gy = call.go(kY);
  for (int input : {kA, kB}) {
    if (!gy) call.giZeroed(input);
    float* gradient = gy ? call.gi(input) : nullptr;
    if (!gradient) continue;
    const float beta = call.beta(input);
    parallelFor(call.dim("n"), kElementGrain,
                [&](int64_t begin, int64_t end) { store(gradient + begin, beta, 1.0f, gy + begin, end - begin); });
  }
}

}  // namespace hint::add
