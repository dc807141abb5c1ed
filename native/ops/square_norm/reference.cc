#include "native/ops/common/reference.h"

#include <limits>

#include "native/ops/square_norm/square_norm.h"

namespace hint {

OpReference reference_square_norm() {
  using namespace square_norm;
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    for (double value : r.inputs[kX]) r.in(kTotal)[0] += value * value;
  };
  reference.cases = {
      {"odd size", {{{{5, 17}}}, {{{1}, {}, 0.0, 3.0}}}},
      {"split between threads", {{{{70001}}}, {{{1}}}}},
      {"squares larger than a float", {{{{64}, {}, 1e18}}, {{{1}}}}},
      {"NaN stays visible", {{{{40}, {}, 0.0, std::numeric_limits<double>::quiet_NaN()}}, {{{1}}}}},
      {"infinity stays visible", {{{{40}, {}, 0.0, std::numeric_limits<double>::infinity()}}, {{{1}}}}},
      {"nothing", {{{{0}}}, {{{1}}}}},
      {"T5-base embedding", {{{{32128, 768}}}, {{{1}}}}, {}, true},
      {"a small parameter", {{{{768}}}, {{{1}}}}, {}, true},
  };
  return reference;
}

}  // namespace hint
