#include "native/ops/common/reference.h"

#include "native/ops/embedding/embedding.h"

namespace hint {

OpReference reference_embedding() {
  using namespace embedding;
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    const int64_t rows = r.call.dim("rows"), d = r.call.dim("d");
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = 0; i < d; ++i) r.out(kY)[row * d + i] = r.in(kTable)[r.call.ids(kIds)[row] * d + i];
  };
  const auto scattered = [](int64_t rows, int64_t vocab) {
    IntList ids;
    for (int64_t row = 0; row < rows; ++row) ids.push_back(static_cast<int32_t>(row * row * 7919 % vocab));
    return ids;
  };
  reference.cases = {
      {"ids that repeat", {{{{7}, {3, 0, 3, 3, 9, 0, 1}}}, {{{10, 17}}}}},
      {"many rows of few ids", {{{{300}, scattered(300, 5)}}, {{{5, 259}}}}},
      {"an id of padding, thirty thousand times", {{{{30000}}}, {{{3, 5}}}}, {}, false, {}, 1.0, 1e-6},
      {"one row", {{{{1}, {4}}}, {{{5, 1}}}}},
      {"no rows", {{{{0}}}, {{{5, 8}}}}},
      {"the id after the last is refused", {{{{3}, {0, 5, 1}}}, {{{5, 8}}}}, {}, false, "INVALID_TOKEN"},
      {"a negative id is refused", {{{{3}, {0, 1, -1}}}, {{{5, 8}}}}, {}, false, "INVALID_TOKEN"},
      {"T5-base", {{{{4096}, scattered(4096, 32128)}}, {{{32128, 768}}}}, {}, true},
      {"one row", {{{{1}, {7}}}, {{{32128, 768}}}}, {}, true},
  };
  return reference;
}

}  // namespace hint
