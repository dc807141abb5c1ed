#include "native/ops/common/reduce.h"
#include "native/ops/square_norm/square_norm.h"

namespace hint::square_norm {

void forward(Call& call) {
  float* total = call.in(kTotal).data<float>();
  *total = static_cast<float>(static_cast<double>(*total) + sumOfSquaresOf(call.f(kX), call.dim("n")));
}

}  // namespace hint::square_norm
