#include "native/ops/common/reference.h"

#include "native/ops/sum/sum.h"

namespace hint {

OpReference reference_sum() {
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    double total = 0;
    for (double value : r.inputs[sum::kX]) total += value;
    r.out(sum::kY)[0] = r.call.number("factor") * total;
  };
  reference.cases = {
      {"odd size", {{{{5, 17}, {}, 1.0, 1.0}}}, {{"factor", 0.25}}},
      {"one element", {{{{1}}}}},
      {"large terms that cancel", {{{{70001}, {}, 1e4}}}},
      {"nothing sums to zero", {{{{0}}}}},
      {"losses of a batch", {{{{4096}}}}, {}, true},
      {"larger than the cache", {{{{1 << 25}}}}, {}, true},
  };
  return reference;
}

}  // namespace hint
