#include "native/ops/common/reference.h"

#include <cmath>

#include "native/core/philox.h"
#include "native/ops/random_fill/deviate.h"
#include "native/ops/random_fill/random_fill.h"

namespace hint {
namespace {

/// The z with erf(z / sqrt 2) = x, by bisection, from the distribution's own function.
double deviateOf(double x) {
  const double target = std::fabs(x);
  double low = 0, high = 8;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    // 1 - erf keeps its digits where erf is almost 1.
    (std::erfc(middle / std::sqrt(2.0)) > 1 - target ? low : high) = middle;
  }
  return std::copysign(low, x);
}

}  // namespace

OpReference reference_random_fill() {
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    const auto distribution = random_fill::distributionOf(r.call);
    const uint64_t seed = random_fill::seedOf(r.call);
    Doubles& values = r.inputs[random_fill::kDestination];
    for (size_t i = 0; i < values.size(); ++i) {
      const Philox random = Philox::at(seed, i / 4, static_cast<uint64_t>(r.call.integer("stream")));
      const double x = random_fill::symmetricUniform(random.word[i % 4]);
      double value = x;
      if (distribution == random_fill::Distribution::normal) value = deviateOf(x);
      if (distribution == random_fill::Distribution::truncatedNormal) value = deviateOf(x * random_fill::kWithinTwo);
      values[i] = value * r.call.number("scale");
    }
  };
  using Attributes = std::vector<std::pair<std::string, Attribute>>;
  const auto drawn = [](const char* distribution, double scale = 1, double seed = 9007199254740991.0,
                        int64_t stream = 4294967295) {
    return Attributes{
        {"distribution", std::string(distribution)}, {"scale", scale}, {"seed", seed}, {"stream", stream}};
  };
  reference.cases = {
      {"uniform", {{{{5, 17}}}}, drawn("uniform", 0.05)},
      {"normal, tails included, split between threads", {{{{100003}}}}, drawn("normal", 0.02)},
      {"truncated normal, split between threads", {{{{70001}}}}, drawn("truncated-normal", 3)},
      {"one element", {{{{1}}}}, drawn("normal", 1, 1, 0)},
      {"no elements", {{{{0}}}}, drawn("normal")},
      {"a negative seed is refused", {{{{3}}}}, drawn("normal", 1, -1), false, "INVALID_ARGUMENT"},
      {"an unknown distribution is refused", {{{{3}}}}, drawn("cauchy"), false, "INVALID_ARGUMENT"},
      {"a T5-base embedding", {{{{32128, 768}}}}, drawn("normal"), true},
  };
  return reference;
}

}  // namespace hint
