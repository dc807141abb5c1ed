#include <cmath>
#include <vector>

#include "native/core/philox.h"
#include "native/ops/common/dropout_mask.h"
#include "native/tests/check.h"

namespace hint {
namespace {

void checkWords(const Philox& random, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  CHECK_EQUAL(random.word[0], a);
  CHECK_EQUAL(random.word[1], b);
  CHECK_EQUAL(random.word[2], c);
  CHECK_EQUAL(random.word[3], d);
}

TEST("Philox4x32-10 gives the published known answers") {
  checkWords(Philox::at(0, 0, 0), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
  checkWords(Philox::at(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}), 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
  checkWords(Philox::at(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e), 0xd16cfe09, 0x94fdcceb, 0x5001e420,
             0x24126ea1);
}

TEST("dropout keeps the share of units it should, scaled to keep the mean") {
  for (float rate : {0.05f, 0.1f, 0.5f, 0.9f}) {
    const Dropout dropout{rate, 1234, 3};
    const int64_t units = 4000, groups = 250;
    std::vector<float> mask(static_cast<size_t>(units));
    double kept = 0;
    for (uint32_t group = 0; group < groups; ++group) {
      dropout.fill(group, units, mask.data());
      for (float value : mask) {
        CHECK(value == 0.0f || value == 1.0f / (1.0f - rate));
        kept += value != 0.0f;
      }
    }
    const double count = static_cast<double>(units * groups), share = kept / count;
    const double deviation = std::sqrt(rate * (1 - rate) / count);
    CHECK(std::fabs(share - (1 - rate)) < 5 * deviation);
  }
}

TEST("masks of other seeds, sites and groups are unrelated") {
  const int64_t units = 10000;
  const auto maskOf = [&](const Dropout& dropout, uint32_t group) {
    std::vector<float> mask(static_cast<size_t>(units));
    dropout.fill(group, units, mask.data());
    return mask;
  };
  const auto base = maskOf({0.5f, 1, 1}, 1);
  for (const auto& other : {maskOf({0.5f, 2, 1}, 1), maskOf({0.5f, 1, 2}, 1), maskOf({0.5f, 1, 1}, 2),
                            maskOf({0.5f, uint64_t{1} << 40 | 1, 1}, 1)}) {
    int equal = 0;
    for (size_t i = 0; i < base.size(); ++i) equal += base[i] == other[i];
    // Half of the units agree by chance, with a standard deviation of 50.
    CHECK(equal > 4700 && equal < 5300);
  }
}

TEST("a whole mask equals its units drawn one by one, vectorised or not") {
  const Dropout dropout{0.3f, 9007199254740991u, 77};
  for (int64_t count : {0, 1, 3, 4, 5, 63, 64, 65, 1027}) {
    std::vector<float> plain(static_cast<size_t>(count) + 1, -1.0f), vectorised = plain;
    dropout.fill(5, count, plain.data());
    fillMask(dropout, 5, count, vectorised.data());
    CHECK(plain == vectorised);
    CHECK_EQUAL(plain.back(), -1.0f);
    for (int64_t unit = 0; unit < count; ++unit)
      CHECK_EQUAL(plain[static_cast<size_t>(unit)], dropout.scale(5, static_cast<uint32_t>(unit)));
  }
}

}  // namespace
}  // namespace hint
