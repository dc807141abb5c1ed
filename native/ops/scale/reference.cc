#include "native/ops/common/reference.h"

#include "native/ops/scale/scale.h"

namespace hint {

OpReference reference_scale() {
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    for (int64_t i = 0; i < r.call.dim("n"); ++i) r.out(scale::kY)[i] = r.call.number("factor") * r.in(scale::kX)[i];
  };
  reference.cases = {
      {"odd sizes", {{{{5, 17}}}}, {{"factor", -0.3}}},
      {"factor one", {{{{33}}}}},
      {"factor zero", {{{{33}}}}, {{"factor", 0.0}}},
      {"split between threads", {{{{70001}}}}, {{"factor", 2.5}}},
      {"no elements", {{{{0}}}}, {{"factor", 2.0}}},
      {"T5-base", {{{{4096, 768}}}}, {{"factor", 0.5}}, true},
      {"larger than the cache", {{{{1 << 25}}}}, {{"factor", 0.5}}, true},
  };
  return reference;
}

}  // namespace hint
