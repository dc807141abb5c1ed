#include "native/ops/common/reference.h"

#include "native/ops/copy/copy.h"

namespace hint {

OpReference reference_copy() {
  OpReference reference;
  reference.forwardTolerance = 0;
  reference.forward = [](ReferenceCall& r) { r.outputs[copy::kY] = r.inputs[copy::kX]; };
  reference.cases = {
      {"odd sizes", {{{{5, 17}}}}},
      {"bf16", {{{{5, 17}, {}, 1.0, 0.0, DType::bf16}}}},
      {"i32", {{{{5}, {1, -2, 3, 2147483647, 0}, 1.0, 0.0, DType::i32}}}},
      {"split between threads", {{{{70001}}}}},
      {"no elements", {{{{0, 4}}}}},
      {"larger than the cache", {{{{1 << 25}}}}, {}, true},
  };
  return reference;
}

}  // namespace hint
