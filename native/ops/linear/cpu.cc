#include <algorithm>

#include "native/core/error.h"
#include "native/math/gemm.h"
#include "native/ops/common/activation.h"
#include "native/ops/common/elementwise.h"
#include "native/ops/common/long_sums.h"
#include "native/ops/linear/linear.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

namespace hint::linear {

void forward(Call& call) {
  const int64_t rows = call.dim("rows"), dIn = call.dim("dIn"), dOut = call.dim("dOut");
  const auto alpha = static_cast<float>(call.number("alpha"));
  float* product = call.hasOut(kPreActivation) ? call.o(kPreActivation) : call.o(kY);
  gemm(false, true, rows, dOut, dIn, alpha, call.f(kX), dIn, call.f(kWeight), dIn, 0.0f, product, dOut);
  const Activation activation = activationOf(call);
  if (const float* bias = call.f(kBias)) {
    float* y = call.o(kY);
    parallelFor(rows, rowGrain(dOut), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        store(product + row * dOut, 1.0f, alpha, bias, dOut);
        if (activation != Activation::none) applyActivation(activation, product + row * dOut, y + row * dOut, dOut);
      }
    });
  } else if (activation != Activation::none) {
    applyActivation(activation, product, call.o(kY), rows * dOut);
  }
}

void backward(Call& call) {
  const int64_t rows = call.dim("rows"), dIn = call.dim("dIn"), dOut = call.dim("dOut");
  const auto alpha = static_cast<float>(call.number("alpha"));
  const Activation activation = activationOf(call);
  if (activation != Activation::none && !call.hasOut(kPreActivation))
    fail("INVALID_ARGUMENT", call.describe(), ": a call with training 0 keeps nothing for a backward pass.");
  const float* gradient = call.go(kY);
  Scratch scratch(activation == Activation::none ? 1 : rows * dOut);
  if (activation != Activation::none) {
    activationGradient(activation, call.out(kPreActivation).data<float>(), gradient, scratch, rows * dOut);
    gradient = scratch;
  }
  if (float* gx = call.gi(kX))
    gemm(false, false, rows, dIn, dOut, alpha, gradient, dOut, call.f(kWeight), dIn, call.beta(kX), gx, dIn);
  if (float* gw = call.gi(kWeight))
    gemm(true, false, dOut, dIn, rows, alpha, gradient, dOut, call.f(kX), dIn, call.beta(kWeight), gw, dIn);
  if (float* gb = call.gi(kBias)) {
    const float beta = call.beta(kBias);
    parallelFor(dOut, std::max<int64_t>(16, rowGrain(rows)), [&](int64_t begin, int64_t end) {
      LongSums sums(end - begin);
      for (int64_t row = 0; row < rows; ++row) sums.addRow(gradient + row * dOut + begin);
      store(gb + begin, beta, alpha, sums.rounded(), end - begin);
    });
  }
}

}  // namespace hint::linear
