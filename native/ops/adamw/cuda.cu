#include <cmath>

#include "native/ops/adamw/adamw.h"
#include "native/runtime/cuda/device.cuh"

namespace hint {
namespace adamw {
namespace {

using namespace cuda;

void forwardCuda(Call& call) {
  const double rate = call.number("learningRate"), one = call.number("beta1"), two = call.number("beta2");
  const auto step = static_cast<double>(call.integer("step"));
  const auto beta1 = static_cast<float>(one), rest1 = static_cast<float>(1.0 - one);
  const auto beta2 = static_cast<float>(two), rest2 = static_cast<float>(1.0 - two);
  const auto gradientScale = static_cast<float>(call.number("gradientScale"));
  const auto keep = static_cast<float>(1.0 - rate * call.number("weightDecay"));
  const auto stepSize = static_cast<float>(rate / (1.0 - std::pow(one, step)));
  const auto rootCorrection = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(two, step)));
  const auto epsilon = static_cast<float>(call.number("epsilon"));
  auto *parameter = dataOf<float>(call.in(kParameter)), *first = dataOf<float>(call.in(kFirstMoment));
  auto* second = dataOf<float>(call.in(kSecondMoment));
  const auto* gradient = input<float>(call, kGradient);
  each(call.dim("n"), [=] __device__(int64_t i) {
    const float g = gradient[i] * gradientScale;
    const float m = beta1 * first[i] + rest1 * g, v = beta2 * second[i] + rest2 * g * g;
    first[i] = m;
    second[i] = v;
    parameter[i] = parameter[i] * keep - stepSize * (m / (sqrtf(v) * rootCorrection + epsilon));
  });
}

}  // namespace
}  // namespace adamw

Kernels cuda_adamw() { return {adamw::forwardCuda, nullptr}; }

}  // namespace hint
