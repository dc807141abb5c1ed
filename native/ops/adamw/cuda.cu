#include <cmath>

#include "native/ops/adamw/adamw.h"
#include "native/ops/rounding.h"
#include "native/runtime/cuda/device.cuh"

namespace hint {
namespace adamw {
namespace {

using namespace cuda;

struct Update {
  float beta1, rest1, beta2, rest2, gradientScale, keep, stepSize, rootCorrection, epsilon;
  const float* gradient;
  float *first, *second;

  explicit Update(const Call& call)
      : gradient(input<float>(call, kGradient)),
        first(dataOf<float>(call.in(kFirstMoment))),
        second(dataOf<float>(call.in(kSecondMoment))) {
    const double rate = call.number("learningRate"), one = call.number("beta1"), two = call.number("beta2");
    const auto step = static_cast<double>(call.integer("step"));
    beta1 = static_cast<float>(one);
    rest1 = static_cast<float>(1.0 - one);
    beta2 = static_cast<float>(two);
    rest2 = static_cast<float>(1.0 - two);
    gradientScale = static_cast<float>(call.number("gradientScale"));
    keep = static_cast<float>(1.0 - rate * call.number("weightDecay"));
    stepSize = static_cast<float>(rate / (1.0 - std::pow(one, step)));
    rootCorrection = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(two, step)));
    epsilon = static_cast<float>(call.number("epsilon"));
  }

  /// Updates the moments of element i; returns what becomes of its parameter.
  __device__ float operator()(float parameter, int64_t i) const {
    const float g = gradient[i] * gradientScale;
    const float m = beta1 * first[i] + rest1 * g, v = beta2 * second[i] + rest2 * g * g;
    first[i] = m;
    second[i] = v;
    return parameter * keep - stepSize * (m / (sqrtf(v) * rootCorrection + epsilon));
  }
};

template <typename T>
void updateAll(const Call& call, const Update& update) {
  T* parameter = dataOf<T>(call.in(kParameter));
  const Rounding rounding = roundingOf(call);
  each(call.dim("n"), [=] __device__(int64_t i) { put(parameter + i, rounding(update(load(parameter + i), i), i)); });
}

void forwardCuda(Call& call) {
  const Update update(call);
  byType(call.in(kParameter).dtype, [&](auto type) { updateAll<decltype(type)>(call, update); });
}

}  // namespace
}  // namespace adamw

Kernels cuda_adamw() { return {adamw::forwardCuda, nullptr}; }

}  // namespace hint
