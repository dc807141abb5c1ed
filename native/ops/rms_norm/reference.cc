#include "native/ops/common/reference.h"

#include <cmath>

#include "native/ops/common/dropout_mask.h"
#include "native/ops/rms_norm/rms_norm.h"

namespace hint {

OpReference reference_rms_norm() {
  using namespace rms_norm;
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    const int64_t rows = r.call.dim("rows"), d = r.call.dim("d");
    const auto mask = maskReference(r.call, rows, d);
    for (int64_t row = 0; row < rows; ++row) {
      Doubles s(static_cast<size_t>(d));
      double squares = 0;
      for (int64_t i = 0; i < d; ++i) {
        double& value = s[static_cast<size_t>(i)];
        value = r.in(kX)[row * d + i];
        if (r.has(kDelta)) value += r.in(kDelta)[row * d + i] * mask[static_cast<size_t>(row * d + i)];
        if (r.has(kDelta)) r.out(kSum)[row * d + i] = value;
        squares += value * value;
      }
      const double rstd = 1 / std::sqrt(squares / static_cast<double>(d) + r.call.number("epsilon"));
      r.out(kRstd)[row] = rstd;
      for (int64_t i = 0; i < d; ++i) r.out(kY)[row * d + i] = r.in(kWeight)[i] * s[static_cast<size_t>(i)] * rstd;
    }
  };
  const std::pair<std::string, Attribute> rate = {"dropoutRate", 0.25}, seed = {"dropoutSeed", 11.0};
  const CaseInput weight = {{33}, {}, 0.2, 1.0};
  reference.cases = {
      {"no delta", {{{{5, 33}}}, {}, weight}},
      {"delta", {{{{5, 33}}}, {{{5, 33}}}, weight}},
      {"delta dropped per row", {{{{5, 33}}}, {{{5, 33}}}, weight}, {rate, seed}},
      {"delta dropped per sequence, some empty",
       {{{{7, 33}}}, {{{7, 33}}}, weight},
       {rate, seed, {"seqOffsets", IntList{0, 0, 1, 5, 5, 7}}}},
      {"delta dropped per sequence, eight units at a time",
       {{{{7, 296}}}, {{{7, 296}}}, {{{296}}}},
       {rate, seed, {"seqOffsets", IntList{0, 0, 1, 5, 5, 7}}}},
      {"rows longer than a block of threads", {{{{1, 4104}}}, {{{1, 4104}}}, {{{4104}}}}, {rate, seed}},
      {"rows longer than a block of threads, no multiple of eight", {{{{1, 4099}}}, {}, {{{4099}}}}},
      {"dropout without delta changes nothing", {{{{3, 33}}}, {}, weight}, {rate, seed}},
      {"split between threads",
       {{{{150, 515}}}, {{{150, 515}}}, {{{515}}}},
       {rate, {"seqOffsets", IntList{0, 90, 150}}}},
      {"one unit", {{{{4, 1}}}, {}, {{{1}}}}, {{"epsilon", 0.5}}},
      {"values near zero lean on epsilon", {{{{3, 16}, {}, 1e-4}}, {}, {{{16}}}}, {{"epsilon", 1e-2}}},
      {"twenty thousand rows that pull one way", {{{{20000, 2}, {}, 0.1, 1.0}}, {}, {{{2}}}}, {}, false, {}, 1.0, 1e-6},
      {"no rows", {{{{0, 33}}}, {{{0, 33}}}, weight}},
      {"a weight of another width is refused", {{{{3, 16}}}, {}, weight}, {}, false, "INVALID_SHAPE"},
      {"T5-base", {{{{4096, 768}}}, {}, {{{768}}}}, {}, true},
      {"T5-base with residual", {{{{4096, 768}}}, {{{4096, 768}}}, {{{768}}}}, {}, true},
      {"T5-base with residual and dropout", {{{{4096, 768}}}, {{{4096, 768}}}, {{{768}}}}, {rate}, true},
      {"one row", {{{{1, 768}}}, {{{1, 768}}}, {{{768}}}}, {}, true},
  };
  return reference;
}

}  // namespace hint
