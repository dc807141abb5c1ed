#include "native/ops/common/reference.h"

#include <cmath>
#include <limits>

#include "native/ops/cast/cast.h"

namespace hint {

OpReference reference_cast() {
  using namespace cast;
  OpReference reference;
  reference.forwardTolerance = 0;
  reference.forward = [](ReferenceCall& r) {
    for (size_t i = 0; i < r.inputs[kX].size(); ++i) {
      double value = r.inputs[kX][i];
      if (r.call.word("to") == "bf16" && std::isfinite(value) && value != 0) {
        // Eight significant bits; nearbyint rounds ties to even.
        int exponent;
        std::frexp(value, &exponent);
        const double place = std::ldexp(1.0, exponent - 8);
        value = std::nearbyint(value / place) * place;
      }
      r.outputs[kY][i] = value;
    }
  };
  const std::string bf16 = "bf16", f32 = "f32";
  const auto constant = [](double value) { return CaseInput{{3}, {}, 0.0, value}; };
  reference.cases = {
      {"f32 to bf16, odd sizes", {{{{5, 17}}}}, {{"to", bf16}}},
      {"a tie goes to the even neighbour below", {constant(1.00390625)}, {{"to", bf16}}},
      {"a tie goes to the even neighbour above", {constant(1.01171875)}, {{"to", bf16}}},
      {"NaN stays NaN", {constant(std::numeric_limits<double>::quiet_NaN())}, {{"to", bf16}}},
      {"infinity stays infinite", {constant(-std::numeric_limits<double>::infinity())}, {{"to", bf16}}},
      {"bf16 to f32", {{{{5, 17}, {}, 1.0, 0.0, DType::bf16}}}, {{"to", f32}}},
      {"bf16 to bf16", {{{{5, 17}, {}, 1.0, 0.0, DType::bf16}}}, {{"to", bf16}}},
      {"f32 to f32", {{{{33}}}}, {{"to", f32}}},
      {"split between threads", {{{{70001}}}}, {{"to", bf16}}},
      {"no elements", {{{{0}}}}, {{"to", bf16}}},
      {"integers are refused", {{{{3}, {}, 1.0, 0.0, DType::i32}}}, {{"to", bf16}}, false, "INVALID_ARGUMENT"},
      {"an unknown dtype is refused", {{{{3}}}}, {{"to", std::string("f64")}}, false, "INVALID_ARGUMENT"},
      {"T5-base feed-forward weight", {{{{2048, 768}}}}, {{"to", bf16}}, true},
      {"larger than the cache", {{{{1 << 25}}}}, {{"to", bf16}}, true},
  };
  return reference;
}

}  // namespace hint
