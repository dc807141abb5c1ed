#include <cmath>

#include "native/ops/adamw/adamw.h"
#include "native/ops/common/cuda/rounding.cuh"

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

  bool isAligned() const { return cuda::isAligned(gradient) && cuda::isAligned(first) && cuda::isAligned(second); }
  /// Returns the new value of a parameter and updates its moments.
  __device__ float operator()(float parameter, float gradient, float& m, float& v) const {
    const float g = gradient * gradientScale;
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * g * g;
    return parameter * keep - stepSize * (m / (sqrtf(v) * rootCorrection + epsilon));
  }
};

/// A thread updates eight consecutive elements, which share one Philox call. It moves 20 + 2 s bytes per element of a
/// parameter of s bytes.
template <typename T>
void updateAll(const Call& call, const Update& update) {
  T* parameter = dataOf<T>(call.in(kParameter));
  const Rounding rounding = roundingOf(call);
  const int64_t count = call.dim("n"), eights = isAligned(parameter) && update.isAligned() ? count / 8 : 0;
  each(eights, [=] __device__(int64_t group) {
    const int64_t i = 8 * group;
    const Eight g = loadEight(update.gradient + i);
    Eight p = loadEight(parameter + i), m = loadEight(update.first + i), v = loadEight(update.second + i);
#pragma unroll
    for (int k = 0; k < 8; ++k) p.v[k] = update(p.v[k], g.v[k], m.v[k], v.v[k]);
    roundEight(rounding, p, i);
    putEight(parameter + i, p);
    putEight(update.first + i, m);
    putEight(update.second + i, v);
  });
  each(count - 8 * eights, [=] __device__(int64_t rest) {
    const int64_t i = 8 * eights + rest;
    const float next = update(load(parameter + i), update.gradient[i], update.first[i], update.second[i]);
    put(parameter + i, rounding(next, i));
  });
}

void forwardCuda(Call& call) {
  const Update update(call);
  byType(call.in(kParameter).dtype, [&](auto type) { updateAll<decltype(type)>(call, update); });
}

}  // namespace
}  // namespace adamw

Kernels cuda_adamw() { return {adamw::forwardCuda, nullptr}; }

}  // namespace hint
