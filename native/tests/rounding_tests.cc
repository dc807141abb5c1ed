#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "native/math/bf16.h"
#include "native/ops/common/rounding.h"
#include "native/runtime/cpu/simulated_rounding.h"
#include "native/tests/check.h"

namespace hint {
namespace {

Rounding stochastic(uint64_t seed, uint64_t stream = 0) { return {Rounding::Kind::stochastic, seed, stream}; }

float next(float value, int direction) {
  const uint32_t bits = (Rounding::bitsOf(value) & 0xFFFF0000u) + (direction > 0 ? 0x10000u : 0u);
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

TEST("rounded to the nearest is what storing as bf16 gives") {
  std::vector<float> values;
  for (uint32_t bits = 0; bits < 0xFFFFF000u; bits += 0x7FDu) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    values.push_back(value);
  }
  std::vector<uint16_t> stored(values.size());
  toBf16(values.data(), stored.data(), static_cast<int64_t>(values.size()));
  roundValues({Rounding::Kind::nearest}, values.data(), 0, static_cast<int64_t>(values.size()));
  for (size_t i = 0; i < values.size(); ++i)
    CHECK_EQUAL(Rounding::bitsOf(values[i]), static_cast<uint32_t>(stored[i]) << 16);
}

TEST("rounded by chance, a value comes out as one of its neighbours and is kept in the mean") {
  // Values at the end of a binade, near zero, far from zero, and one that a single draw in 2^16 rounds up.
  for (float value : {1.00390625f + 0.001f, 1.9990234f, -0.3f, 1e-30f, -3e4f, 1.0f + 0x1p-23f * 2}) {
    const int64_t count = 1 << 20;
    std::vector<float> values(static_cast<size_t>(count), value);
    roundValues(stochastic(17, 4), values.data(), 0, count);
    const float low = next(value, 0), high = next(value, 1);
    double sum = 0;
    for (float rounded : values) {
      CHECK(rounded == low || rounded == high);
      sum += rounded;
    }
    const double step = high - low, share = (value - low) / step;
    const double error = std::fabs(step) * std::sqrt(share * (1 - share) / static_cast<double>(count));
    CHECK(std::fabs(sum / static_cast<double>(count) - value) < 4 * error);
  }
}

TEST("every share of the step between two neighbours is met exactly over all draws") {
  for (uint32_t low : {0u, 1u, 0x7FFFu, 0x8000u, 0xFFFFu}) {
    const uint32_t bits = 0x3F7F0000u | low;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    uint32_t up = 0;
    for (uint32_t draw = 0; draw < 0x10000u; ++draw) up += Rounding::stochastic(value, draw) == 1.0f;
    CHECK_EQUAL(up, low);
  }
}

TEST("rounded by chance, values that bf16 holds stay, and NaN and infinity stay visible") {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  float thinNaN;
  const uint32_t thin = 0x7F800001u;
  std::memcpy(&thinNaN, &thin, sizeof thinNaN);
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    std::vector<float> values{0.0f, -0.0f, 1.0f, -2.5f, 0x1p-126f, 1.9921875f, infinity, -infinity, nan, thinNaN};
    const std::vector<float> before = values;
    roundValues(stochastic(seed), values.data(), static_cast<int64_t>(seed), static_cast<int64_t>(values.size()));
    for (size_t i = 0; i < 8; ++i) CHECK_EQUAL(Rounding::bitsOf(values[i]), Rounding::bitsOf(before[i]));
    CHECK(std::isnan(values[8]) && std::isnan(values[9]));
  }
}

TEST("a value's draw depends on its place, not on the range it is rounded in") {
  const int64_t count = 5003;
  std::vector<float> whole(static_cast<size_t>(count), 1.002f);
  const std::vector<float> start = whole;
  const Rounding rounding = stochastic(9007199254740991u, ~uint64_t{0});
  roundValues(rounding, whole.data(), 0, count);
  for (int64_t length : {1, 3, 8, 2047, 2048, 2049, 5003}) {
    std::vector<float> parts = start;
    for (int64_t begin = 0; begin < count; begin += length)
      roundValues(rounding, parts.data() + begin, begin, std::min(length, count - begin));
    CHECK(parts == whole);
  }
  for (int64_t i = 0; i < count; ++i)
    CHECK_EQUAL(whole[static_cast<size_t>(i)], rounding(start[static_cast<size_t>(i)], i));
}

TEST("other seeds, updates, parameters and elements draw unrelated numbers") {
  const int64_t count = 10000;
  const auto halves = [&](const Rounding& rounding, int64_t first) {
    std::vector<float> values(static_cast<size_t>(count), 1.00390625f);  // half of a step above one
    roundValues(rounding, values.data(), first, count);
    return values;
  };
  const auto base = halves(stochastic(1, 1), 0);
  for (const auto& other :
       {halves(stochastic(2, 1), 0), halves(stochastic(1, 2), 0), halves(stochastic(1, uint64_t{1} << 32 | 1), 0),
        halves(stochastic(1, 1), 8), halves(stochastic(1, 1), 1)}) {
    int equal = 0;
    for (size_t i = 0; i < base.size(); ++i) equal += base[i] == other[i];
    // Half of them agree by chance, with a standard deviation of 50.
    CHECK(equal > 4700 && equal < 5300);
  }
}

TEST("simulated, each store draws anew from the seed, and zero rounds to the nearest again") {
  const int64_t count = 100000;
  const std::vector<float> half(static_cast<size_t>(count), 1.00390625f);  // half of a step above one
  const auto stored = [&] {
    std::vector<uint16_t> words(static_cast<size_t>(count));
    storeAsBf16(half.data(), words.data(), count);
    return words;
  };
  simulateRounding(7);
  const auto first = stored(), second = stored();
  simulateRounding(7);
  const auto again = stored();
  simulateRounding(0);
  const auto nearest = stored();
  CHECK(first == again);
  int64_t up = 0, equal = 0;
  for (size_t i = 0; i < first.size(); ++i) {
    CHECK(first[i] == 0x3f80 || first[i] == 0x3f81);
    up += first[i] == 0x3f81;
    equal += first[i] == second[i];
    CHECK_EQUAL(nearest[i], uint16_t{0x3f80});
  }
  // Half of them, with a standard deviation of 158.
  CHECK(up > 49000 && up < 51000);
  CHECK(equal > 49000 && equal < 51000);
}

}  // namespace
}  // namespace hint
