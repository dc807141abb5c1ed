#include "native/ops/common/reference.h"

#include "native/ops/add/add.h"

namespace hint {

OpReference reference_add() {
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    for (int64_t i = 0; i < r.call.dim("n"); ++i) r.out(add::kY)[i] = r.in(add::kA)[i] + r.in(add::kB)[i];
  };
  reference.cases = {
      {"odd sizes", {{{{5, 17}}}, {{{5, 17}}}}},
      {"a scalar", {CaseInput{}, CaseInput{}}},
      {"three dimensions", {{{{2, 3, 5}}}, {{{2, 3, 5}}}}},
      {"split between threads", {{{{70001}}}, {{{70001}}}}},
      {"no elements", {{{{0, 4}}}, {{{0, 4}}}}},
      {"different sizes are refused", {{{{4}}}, {{{5}}}}, {}, false, "INVALID_SHAPE"},
      {"T5-base", {{{{4096, 768}}}, {{{4096, 768}}}}, {}, true},
      {"larger than the cache", {{{{1 << 25}}}, {{{1 << 25}}}}, {}, true},
      {"one row", {{{{1, 768}}}, {{{1, 768}}}}, {}, true},
  };
  return reference;
}

}  // namespace hint
