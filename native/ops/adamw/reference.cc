#include "native/ops/common/reference.h"

#include <cmath>

#include "native/ops/adamw/adamw.h"
#include "native/ops/common/rounding.h"

namespace hint {
namespace {

void forward(ReferenceCall& r) {
  using namespace adamw;
  const double beta1 = r.call.number("beta1"), beta2 = r.call.number("beta2"), rate = r.call.number("learningRate");
  const auto step = static_cast<double>(r.call.integer("step"));
  for (int64_t i = 0; i < r.call.dim("n"); ++i) {
    const double g = r.in(kGradient)[i] * r.call.number("gradientScale");
    double &p = r.in(kParameter)[i], &m = r.in(kFirstMoment)[i], &v = r.in(kSecondMoment)[i];
    p -= rate * r.call.number("weightDecay") * p;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    p -= rate * (m / (1 - std::pow(beta1, step))) /
         (std::sqrt(v / (1 - std::pow(beta2, step))) + r.call.number("epsilon"));
  }
  roundReference(r.call, r.inputs[kParameter]);
}

}  // namespace

OpReference reference_adamw() {
  OpReference reference;
  reference.forward = forward;
  const CaseInput moment{{37}, {}, 0.1}, square{{37}, {}, 0.1, 1.0};
  reference.cases = {
      {"first step from zero moments",
       {{{{37}}}, {{{37}}}, {{{37}, {}, 0.0}}, {{{37}, {}, 0.0}}},
       {{"learningRate", 0.01}, {"step", int64_t{1}}}},
      {"late step, weight decay, scaled gradient",
       {{{{37}}}, {{{37}}}, moment, square},
       {{"learningRate", 0.01}, {"step", int64_t{1000}}, {"weightDecay", 0.1}, {"gradientScale", 0.25}}},
      {"zero gradients stay finite",
       {{{{3, 5}}}, {{{3, 5}, {}, 0.0}}, {{{3, 5}, {}, 0.0}}, {{{3, 5}, {}, 0.0}}},
       {{"learningRate", 0.01}, {"step", int64_t{1}}}},
      {"rounded to the nearest",
       {{{{37}}}, {{{37}}}, moment, square},
       {{"learningRate", 0.01}, {"step", int64_t{3}}, {"rounding", std::string("nearest")}}},
      {"rounded by chance",
       {{{{37}}}, {{{37}}}, moment, square},
       {{"learningRate", 0.01},
        {"step", int64_t{3}},
        {"rounding", std::string("stochastic")},
        {"roundingSeed", 5.0},
        {"roundingStep", int64_t{3}},
        {"roundingStream", int64_t{7}}}},
      {"a rounding step beyond 32 bits is refused",
       {{{{4}}}, {{{4}}}, {{{4}}}, {{{4}, {}, 0.1, 1.0}}},
       {{"learningRate", 0.01}, {"step", int64_t{1}}, {"roundingStep", int64_t{1} << 32}},
       false,
       "INVALID_ARGUMENT"},
      {"no values", {{{{0}}}, {{{0}}}, {{{0}}}, {{{0}}}}, {{"learningRate", 0.01}, {"step", int64_t{1}}}},
      {"step 0 is refused, steps count from 1",
       {{{{4}}}, {{{4}}}, {{{4}}}, {{{4}, {}, 0.1, 1.0}}},
       {{"learningRate", 0.01}, {"step", int64_t{0}}},
       false,
       "INVALID_ARGUMENT"},
      {"T5-base feed-forward",
       {{{{2048, 768}}}, {{{2048, 768}}}, {{{2048, 768}, {}, 0.1}}, {{{2048, 768}, {}, 0.1, 1.0}}},
       {{"learningRate", 0.01}, {"step", int64_t{10}}},
       true},
  };
  return reference;
}

}  // namespace hint
