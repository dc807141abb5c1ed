#include "native/ops/common/reference.h"

#include <algorithm>

#include "native/ops/concat_rows/concat_rows.h"

namespace hint {

OpReference reference_concat_rows() {
  using namespace concat_rows;
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    std::copy(r.inputs[kA].begin(), r.inputs[kA].end(), r.outputs[kY].begin());
    std::copy(r.inputs[kB].begin(), r.inputs[kB].end(),
              r.outputs[kY].end() - static_cast<int64_t>(r.inputs[kB].size()));
  };
  reference.cases = {
      {"odd sizes", {{{{3, 17}}}, {{{5, 17}}}}},
      {"one row each", {{{{1, 1}}}, {{{1, 1}}}}},
      {"a without rows", {{{{0, 8}}}, {{{5, 8}}}}},
      {"b without rows", {{{{5, 8}}}, {{{0, 8}}}}},
      {"split between threads", {{{{90, 777}}}, {{{100, 777}}}}},
      {"different widths are refused", {{{{3, 8}}}, {{{3, 9}}}}, {}, false, "INVALID_SHAPE"},
      {"T5-base", {{{{2048, 768}}}, {{{2048, 768}}}}, {}, true},
  };
  return reference;
}

}  // namespace hint
