#include <algorithm>

#include "native/ops/common/activation.h"
#include "native/ops/common/elementwise.h"
#include "native/ops/common/long_sums.h"
#include "native/ops/common/products.h"
#include "native/ops/common/result_gradient.h"
#include "native/ops/linear/linear.h"
#include "native/runtime/cpu/widened_call.h"

namespace hint::linear {

void forward(Call& call) {
  if (!multipliesAsStored(call)) return runWidened(call, forward);
  const int64_t rows = call.dim("rows"), dIn = call.dim("dIn"), dOut = call.dim("dOut");
  const auto alpha = static_cast<float>(call.number("alpha"));
  const Activation activation = activationOf(call);
  const Factor x(call.in(kX)), weight(call.in(kWeight));
  const Tensor &y = call.out(kY), &kept = call.out(kPreActivation);
  const float* bias = call.f(kBias);
  if (!bias && activation == Activation::none)
    return productInto(y, 0, false, true, rows, dOut, dIn, alpha, x, dIn, weight, dIn, 0.0f);
  const bool keeps = call.hasOut(kPreActivation), isRounded = y.dtype == DType::bf16;
  const int64_t height = isRounded ? std::min(rows, rowsPerBlock(dOut)) : rows;
  const Scratch block(isRounded ? height * dOut : 1);
  for (int64_t first = 0; first < rows; first += height) {
    const int64_t count = std::min(height, rows - first);
    float* sums = isRounded ? block.data() : (keeps ? kept : y).data<float>();
    gemm(false, true, count, dOut, dIn, alpha, x.from(first * dIn), dIn, weight, dIn, 0.0f, sums, dOut);
    parallelFor(count, rowGrain(dOut), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        float* sum = sums + row * dOut;
        const int64_t at = (first + row) * dOut;
        if (bias) store(sum, 1.0f, alpha, bias, dOut);
        if (isRounded && keeps) storeValues(kept, at, 0.0f, sum, dOut);
        float* result = isRounded ? sum : y.data<float>() + at;
        if (activation != Activation::none) activateRange(activation, sum, result, dOut);
        if (isRounded) storeValues(y, at, 0.0f, result, dOut);
      }
    });
  }
}

void backward(Call& call) {
  if (!multipliesAsStored(call)) return runWidened(call, backward);
  const int64_t rows = call.dim("rows"), dIn = call.dim("dIn"), dOut = call.dim("dOut");
  const auto alpha = static_cast<float>(call.number("alpha"));
  const Factor x(call.in(kX)), weight(call.in(kWeight));
  const Tensor &gx = call.gradInputs[kX], &gw = call.gradInputs[kWeight];
  ResultGradient result(call, call.gradOutputs[kY], call.out(kPreActivation));
  if (gx)
    productInto(gx, 0, false, false, rows, dIn, dOut, alpha, result.factor(x.dtype), dOut, weight, dIn, call.beta(kX));
  if (gw)
    productInto(gw, 0, true, false, dOut, dIn, rows, alpha, result.factor(x.dtype), dOut, x, dIn, call.beta(kWeight));
  if (float* gb = call.gi(kBias)) {
    const float beta = call.beta(kBias);
    const float* gradient = result.floats();
    parallelFor(dOut, std::max<int64_t>(16, rowGrain(rows)), [&](int64_t begin, int64_t end) {
      LongSums sums(end - begin);
      for (int64_t row = 0; row < rows; ++row) sums.addRow(gradient + row * dOut + begin);
      store(gb + begin, beta, alpha, sums.rounded(), end - begin);
    });
  }
}

}  // namespace hint::linear
