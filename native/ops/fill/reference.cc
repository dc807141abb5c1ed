#include "native/ops/common/reference.h"

#include "native/ops/fill/fill.h"

namespace hint {

OpReference reference_fill() {
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    for (double& value : r.inputs[fill::kDestination]) value = r.call.number("value");
  };
  reference.cases = {
      {"zeroes", {{{{5, 17}}}}},
      {"another value, split between threads", {{{{70001}}}}, {{"value", -2.5}}},
      {"no elements", {{{{0}}}}},
      {"larger than the cache", {{{{1 << 25}}}}, {}, true},
  };
  return reference;
}

}  // namespace hint
