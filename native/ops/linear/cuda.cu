#include "native/ops/linear/linear.h"
#include "native/runtime/cuda/activation.cuh"
#include "native/runtime/cuda/columns.cuh"
#include "native/runtime/cuda/gemm.h"

namespace hint {
namespace linear {
namespace {

using namespace cuda;

Matrix matrixOf(const Tensor& tensor, int64_t stride, bool transposed = false) {
  return {addressOf(tensor), tensor.dtype, stride, transposed};
}

/// product += alpha * bias, then y = activation(product).
template <typename T>
void finish(Activation activation, float alpha, const T* bias, T* product, T* y, int64_t count, int64_t dOut) {
  each(count, [=] __device__(int64_t i) {
    float value = load(product + i);
    if (bias) {
      value += alpha * load(bias + i % dOut);
      put(product + i, value);
    }
    if (activation != Activation::none) put(y + i, activate(activation, value));
  });
}

template <typename T, typename G>
void biasGradient(const T* gradient, int64_t rows, int64_t dOut, float alpha, G* gb, float beta) {
  columnSums(
      rows, dOut, [=] __device__(int64_t row, int64_t i) { return load(gradient + row * dOut + i); },
      [=] __device__(int64_t i, float sum) { store(gb + i, beta, alpha * sum); });
}

template <typename T>
void multiplyBySlope(Activation activation, const T* x, const T* gy, T* gradient, int64_t count) {
  each(count,
       [=] __device__(int64_t i) { put(gradient + i, load(gy + i) * activationSlope(activation, load(x + i))); });
}

void forwardCuda(Call& call) {
  const int64_t rows = call.dim("rows"), dIn = call.dim("dIn"), dOut = call.dim("dOut");
  const Activation activation = activationOf(call);
  const Tensor& product = call.hasOut(kPreActivation) ? call.out(kPreActivation) : call.out(kY);
  Context::current().gemm().run(rows, dOut, dIn, static_cast<float>(call.number("alpha")), matrixOf(call.in(kX), dIn),
                                matrixOf(call.in(kWeight), dIn, true), 0.0f, addressOf(product), product.dtype, dOut);
  if (activation == Activation::none && !call.has(kBias)) return;
  byType(product.dtype, [&](auto type) {
    using T = decltype(type);
    finish(activation, static_cast<float>(call.number("alpha")), input<T>(call, kBias), dataOf<T>(product),
           output<T>(call, kY), rows * dOut, dOut);
  });
}

void backwardCuda(Call& call) {
  const int64_t rows = call.dim("rows"), dIn = call.dim("dIn"), dOut = call.dim("dOut");
  const auto alpha = static_cast<float>(call.number("alpha"));
  const Activation activation = activationOf(call);
  if (activation != Activation::none && !call.hasOut(kPreActivation))
    fail("INVALID_ARGUMENT", call.describe(), ": a call with training 0 keeps nothing for a backward pass.");
  const Tensor& gy = call.gradOutputs[kY];
  Matrix gradient = matrixOf(gy, dOut);
  const Scratch<unsigned char> scratch(activation == Activation::none ? 0 : static_cast<int64_t>(gy.bytes()));
  if (activation != Activation::none) {
    byType(gy.dtype, [&](auto type) {
      using T = decltype(type);
      multiplyBySlope(activation, output<T>(call, kPreActivation), dataOf<T>(gy), reinterpret_cast<T*>(scratch.get()),
                      rows * dOut);
    });
    gradient.data = scratch.get();
  }
  if (const Tensor& gb = inputGradient(call, kBias))
    byType(gradient.dtype, [&](auto type) {
      using T = decltype(type);
      byType(gb.dtype, [&](auto to) {
        biasGradient(static_cast<const T*>(gradient.data), rows, dOut, alpha, dataOf<decltype(to)>(gb),
                     call.beta(kBias));
      });
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
