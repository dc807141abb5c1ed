#include "native/ops/common/activation.h"
#include "native/ops/common/cuda/columns.cuh"
#include "native/ops/linear/linear.h"
#include "native/runtime/cuda/activation.cuh"
#include "native/runtime/cuda/elements.cuh"
#include "native/runtime/cuda/gemm.h"

namespace hint {
namespace linear {
namespace {

using namespace cuda;

Matrix matrixOf(const Tensor& tensor, int64_t stride, bool transposed = false) {
  return {addressOf(tensor), tensor.dtype, stride, transposed};
}

/// preActivation = product + alpha * bias (stored when it is kept), y = activation(preActivation).
template <typename P, typename Y>
void finish(const Call& call, Activation activation, const P* product) {
  const int64_t dOut = call.dim("dOut");
  const auto alpha = static_cast<float>(call.number("alpha"));
  const float* bias = input<float>(call, kBias);
  Y *preActivation = output<Y>(call, kPreActivation), *y = output<Y>(call, kY);
  eachOfRows(
      call.dim("rows"), dOut, RowMask(), Results<2, Y>{{y, preActivation}, {}},
      [=] __device__(float* value, int64_t unit, float, float product) {
        value[1] = bias ? product + alpha * bias[unit] : product;
        value[0] = activate(activation, value[1]);
      },
      product);
}

template <typename T>
void biasGradient(const T* gradient, int64_t rows, int64_t dOut, float alpha, float* gb, float beta) {
  columnSums(
      rows, dOut, [=] __device__(int64_t row, int64_t i) { return load(gradient + row * dOut + i); },
      [=] __device__(int64_t i, float sum) { store(gb + i, beta, alpha * sum); });
}

void forwardCuda(Call& call) {
  const int64_t rows = call.dim("rows"), dIn = call.dim("dIn"), dOut = call.dim("dOut");
  const Activation activation = activationOf(call);
  const DType type = call.in(kX).dtype;
  const Tensor& kept = call.hasOut(kPreActivation) ? call.out(kPreActivation) : call.out(kY);
  // An f32 product can only be stored as f32; for bf16 results, the pass after it rounds.
  const bool direct = type == DType::bf16 || kept.dtype == DType::f32;
  const Scratch<float> scratch(direct ? 0 : rows * dOut);
  void* product = direct ? addressOf(kept) : scratch.get();
  const DType productType = direct ? kept.dtype : DType::f32;
  Context::current().gemm().run(rows, dOut, dIn, static_cast<float>(call.number("alpha")), matrixOf(call.in(kX), dIn),
                                matrixOf(call.in(kWeight), dIn, true), 0.0f, product, productType, dOut);
  if (direct && activation == Activation::none && !call.has(kBias)) return;
  byType(productType, [&](auto from) {
    byType(kept.dtype, [&](auto to) {
      finish<decltype(from), decltype(to)>(call, activation, static_cast<const decltype(from)*>(product));
    });
  });
}

void backwardCuda(Call& call) {
  const int64_t rows = call.dim("rows"), dIn = call.dim("dIn"), dOut = call.dim("dOut");
  const auto alpha = static_cast<float>(call.number("alpha"));
  const Activation activation = activationOf(call);
  if (activation != Activation::none && !call.hasOut(kPreActivation))
    fail("INVALID_ARGUMENT", call.describe(), ": a call with training 0 keeps nothing for a backward pass.");
  const Tensor& gy = call.gradOutputs[kY];
  // The product needs operands of one storage type, so the gradient is converted to that of x and weight.
  const DType type = call.in(kX).dtype;
  const bool direct = activation == Activation::none && gy.dtype == type;
  const Scratch<unsigned char> scratch(direct ? 0 : rows * dOut * static_cast<int64_t>(sizeOf(type)));
  Matrix gradient{direct ? addressOf(gy) : scratch.get(), type, dOut};
  if (!direct)
    byType(gy.dtype, [&](auto from) {
      byType(type, [&](auto to) {
        using Y = decltype(from);
        multiplyBySlope(activation, output<Y>(call, kPreActivation), dataOf<Y>(gy),
                        reinterpret_cast<decltype(to)*>(scratch.get()), rows * dOut);
      });
    });
  if (float* gb = dataOf<float>(inputGradient(call, kBias)))
    byType(type, [&](auto from) {
      biasGradient(static_cast<const decltype(from)*>(gradient.data), rows, dOut, alpha, gb, call.beta(kBias));
    });
  Gemm& gemm = Context::current().gemm();
  if (const Tensor& gx = inputGradient(call, kX))
    gemm.run(rows, dIn, dOut, alpha, gradient, matrixOf(call.in(kWeight), dIn), call.beta(kX), addressOf(gx), gx.dtype,
             dIn);
  if (const Tensor& gw = inputGradient(call, kWeight)) {
    gradient.transposed = true;
    gemm.run(dOut, dIn, rows, alpha, gradient, matrixOf(call.in(kX), dIn), call.beta(kWeight), addressOf(gw), gw.dtype,
             dIn);
  }
}

}  // namespace
}  // namespace linear

Kernels cuda_linear() { return {linear::forwardCuda, linear::backwardCuda}; }

}  // namespace hint
