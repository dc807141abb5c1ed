#include "native/ops/random_fill/random_fill.h"

#include <cmath>

#include "native/core/error.h"
#include "native/ops/common/gpu_work.h"

namespace hint {
namespace random_fill {

Distribution distributionOf(const Call& call) {
  const std::string& word = call.word("distribution");
  if (word == "uniform") return Distribution::uniform;
  if (word == "normal") return Distribution::normal;
  if (word == "truncated-normal") return Distribution::truncatedNormal;
  fail("INVALID_ARGUMENT", call.describe(), ": distribution is \"", word,
       "\", but must be uniform, normal or truncated-normal.");
}

uint64_t seedOf(const Call& call) {
  const double seed = call.number("seed");
  if (!(seed >= 0 && seed < 9007199254740992.0 && seed == std::floor(seed)))
    fail("INVALID_ARGUMENT", call.describe(), ": seed is ", seed, ", but must be an integer from 0 to 2^53 - 1.");
  return static_cast<uint64_t>(seed);
}

}  // namespace random_fill

OpSpec declare_random_fill() {
  using namespace random_fill;
  OpSpec op;
  op.name = "random_fill";
  op.summary = "destination = scale * seeded random numbers";
  op.inputs = {{"destination", "*n", kMutable | kUnwritten}};
  op.attributes = {{"distribution", std::string(), true}, {"scale", 1.0}, {"seed", 0.0, true}, {"stream", int64_t{0}}};
  op.cpu = {forward, nullptr};
  op.resolve = [](Call& call) {
    distributionOf(call);
    seedOf(call);
  };
  op.gpuWork = [](const Call& call) { return computing(call.dim("n")); };
  return op;
}

}  // namespace hint
