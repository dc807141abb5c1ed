#include "native/ops/common/reference.h"

#include <algorithm>

#include "native/ops/increment/increment.h"

namespace hint {

OpReference reference_increment() {
  using namespace increment;
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    for (int64_t i = 0; i < r.call.dim("n"); ++i) {
      double& x = r.in(kX)[i];
      x = std::min(x + static_cast<double>(r.call.integer("by")), static_cast<double>(r.call.integer("limit")));
    }
  };
  reference.cases = {
      {"rows at places of their own", {{{{5}, {0, 7, 3, 1023, 3}}}}},
      {"a limit holds rows that are done", {{{{3}, {9, 10, 4}}}}, {{"limit", int64_t{10}}}},
      {"by more than one", {{{{2}, {1, 2}}}}, {{"by", int64_t{3}}}},
      {"the largest integer stays", {{{{1}, {INT32_MAX}}}}},
      {"no elements", {{{{0}}}}},
      {"a limit beyond 32 bits is refused", {{{{1}, {0}}}}, {{"limit", int64_t{1} << 40}}, false, "INVALID_ARGUMENT"},
      {"64 rows", {{{{64}, IntList(64, 5)}}}, {}, true},
  };
  return reference;
}

}  // namespace hint
