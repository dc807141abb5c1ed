#include <algorithm>
#include <cmath>

#include "native/ops/adamw/adamw.h"
#include "native/ops/common/rounding.h"
#include "native/runtime/parallel.h"

namespace hint::adamw {
namespace {

/// Values per block, so few that they are still in the first cache level when they are rounded.
constexpr int64_t kBlock = 4096;

struct Update {
  float beta1, oneMinusBeta1, beta2, oneMinusBeta2, gradientScale, keep, stepSize, rootCorrection, epsilon;
};

HINT_CLONES void updateRange(const Update& u, float* __restrict parameter, const float* __restrict gradient,
                             float* __restrict first, float* __restrict second, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * u.gradientScale;
    const float m = u.beta1 * first[i] + u.oneMinusBeta1 * g;
    const float v = u.beta2 * second[i] + u.oneMinusBeta2 * g * g;
    first[i] = m;
    second[i] = v;
    parameter[i] = parameter[i] * u.keep - u.stepSize * (m / (std::sqrt(v) * u.rootCorrection + u.epsilon));
  }
}

}  // namespace

void forward(Call& call) {
  const double beta1 = call.number("beta1"), beta2 = call.number("beta2"), rate = call.number("learningRate");
  const auto step = static_cast<double>(call.integer("step"));
  Update u;
  u.beta1 = static_cast<float>(beta1);
  u.oneMinusBeta1 = static_cast<float>(1.0 - beta1);
  u.beta2 = static_cast<float>(beta2);
  u.oneMinusBeta2 = static_cast<float>(1.0 - beta2);
  u.gradientScale = static_cast<float>(call.number("gradientScale"));
  u.keep = static_cast<float>(1.0 - rate * call.number("weightDecay"));
  u.stepSize = static_cast<float>(rate / (1.0 - std::pow(beta1, step)));
  u.rootCorrection = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(beta2, step)));
  u.epsilon = static_cast<float>(call.number("epsilon"));
  float *parameter = call.in(kParameter).data<float>(), *first = call.in(kFirstMoment).data<float>();
  float* second = call.in(kSecondMoment).data<float>();
  const float* gradient = call.f(kGradient);
  const Rounding rounding = roundingOf(call);
  parallelFor(call.dim("n"), 16384, [&](int64_t from, int64_t end) {
    for (int64_t begin = from; begin < end; begin += kBlock) {
      const int64_t count = std::min(end - begin, kBlock);
      updateRange(u, parameter + begin, gradient + begin, first + begin, second + begin, count);
      roundValues(rounding, parameter + begin, begin, count);
    }
  });
}

}  // namespace hint::adamw
