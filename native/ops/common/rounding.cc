#include "native/ops/common/rounding.h"

#include <algorithm>
#include <cmath>

#include "native/core/error.h"
#include "native/runtime/parallel.h"

namespace hint {
namespace {

/// Values per block, so few that their random draws stay in the first cache level.
constexpr int64_t kBlock = 2048;

HINT_CLONES void roundNearest(float* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) values[i] = Rounding::nearest(values[i]);
}

HINT_CLONES void roundStochastic(const uint16_t* draws, float* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) values[i] = Rounding::stochastic(values[i], draws[i]);
}

/// Writes the draws of `groups` groups of elements from group `first` on.
HINT_CLONES void drawGroups(const Rounding& rounding, int64_t first, int64_t groups, uint16_t* draws) {
  for (int64_t group = 0; group < groups; ++group) {
    const Philox words = Philox::at(rounding.seed, static_cast<uint64_t>(first + group), rounding.stream);
    for (int lane = 0; lane < 4; ++lane) {
      draws[Rounding::kDraws * group + 2 * lane] = static_cast<uint16_t>(words.word[lane]);
      draws[Rounding::kDraws * group + 2 * lane + 1] = static_cast<uint16_t>(words.word[lane] >> 16);
    }
  }
}

uint64_t integerOf(const Call& call, const char* attribute) {
  const int64_t value = call.integer(attribute);
  if (value < 0 || value > 0xFFFFFFFFll)
    fail("INVALID_ARGUMENT", call.describe(), ": ", attribute, " is ", value, ", but must be from 0 to 2^32 - 1.");
  return static_cast<uint64_t>(value);
}

}  // namespace

void roundValues(const Rounding& rounding, float* values, int64_t first, int64_t count) {
  if (rounding.kind == Rounding::Kind::none) return;
  if (rounding.kind == Rounding::Kind::nearest) return roundNearest(values, count);
  uint16_t draws[kBlock + Rounding::kDraws];
  for (int64_t done = 0; done < count;) {
    const int64_t at = first + done, skipped = at % Rounding::kDraws, length = std::min(count - done, kBlock - skipped);
    drawGroups(rounding, at / Rounding::kDraws, (skipped + length + Rounding::kDraws - 1) / Rounding::kDraws, draws);
    roundStochastic(draws + skipped, values + done, length);
    done += length;
  }
}

std::vector<AttributeSpec> withRounding(std::vector<AttributeSpec> attributes) {
  attributes.push_back({"rounding", std::string("none")});
  attributes.push_back({"roundingSeed", 0.0});
  attributes.push_back({"roundingStep", int64_t{0}});
  attributes.push_back({"roundingStream", int64_t{0}});
  return attributes;
}

Rounding roundingOf(const Call& call) {
  Rounding rounding;
  const std::string& word = call.word("rounding");
  if (word == "nearest")
    rounding.kind = Rounding::Kind::nearest;
  else if (word == "stochastic")
    rounding.kind = Rounding::Kind::stochastic;
  else if (word != "none")
    fail("INVALID_ARGUMENT", call.describe(), ": rounding is \"", word, "\", but must be none, nearest or stochastic.");
  const double seed = call.number("roundingSeed");
  if (!(seed >= 0 && seed < 9007199254740992.0 && seed == std::floor(seed)))
    fail("INVALID_ARGUMENT", call.describe(), ": roundingSeed is ", seed,
         ", but must be an integer from 0 to 2^53 - 1.");
  rounding.seed = static_cast<uint64_t>(seed);
  rounding.stream = integerOf(call, "roundingStep") << 32 | integerOf(call, "roundingStream");
  return rounding;
}

void roundReference(const Call& call, std::vector<double>& values) {
  const Rounding rounding = roundingOf(call);
  if (rounding.kind == Rounding::Kind::none) return;
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = rounding(static_cast<float>(values[i]), static_cast<int64_t>(i));
}

}  // namespace hint
