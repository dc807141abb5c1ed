#include "native/ops/common/reference.h"

#include "native/ops/reorder_cache/reorder_cache.h"

namespace hint {

OpReference reference_reorder_cache() {
  using namespace reorder_cache;
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    const int64_t rows = r.call.dim("rows"), capacity = r.call.dim("capacity"), width = r.call.dim("width");
    const auto filled = static_cast<int64_t>(r.in(kPosition)[0]) * width;
    const Doubles old = r.inputs[kCache];
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = 0; i < filled; ++i)
        r.in(kCache)[row * capacity * width + i] =
            old[static_cast<size_t>(r.call.ids(kParents)[row] * capacity * width + i)];
  };
  const auto caseOf = [](const char* name, Shape shape, IntList parents, int32_t position, int64_t groupSize,
                         std::string error = {}) {
    const int64_t rows = shape[0];
    return OpCase{name,
                  {{{std::move(shape)}}, {{{rows}, std::move(parents)}}, {{{1}, {position}}}},
                  {{"groupSize", groupSize}},
                  false,
                  std::move(error)};
  };
  IntList turned;
  for (int32_t row = 0; row < 64; ++row) turned.push_back(row / 4 * 4 + (row + 1) % 4);
  reference.cases = {
      caseOf("beams that swap, multiply and stay", {6, 5, 3}, {1, 0, 2, 4, 4, 4}, 3, 3),
      caseOf("a circle of beams", {4, 7, 300}, {1, 2, 3, 0}, 7, 4),
      caseOf("nobody moves", {3, 4, 5}, {0, 1, 2}, 4, 1),
      caseOf("nothing is stored yet", {2, 4, 5}, {1, 1}, 0, 2),
      caseOf("more than one chunk, several groups", {8, 3, 1111}, {3, 2, 1, 0, 5, 5, 6, 4}, 3, 4),
      caseOf("no rows", {0, 4, 5}, {}, 2, 2),
      caseOf("a parent of another group is refused", {4, 4, 5}, {0, 1, 1, 3}, 2, 2, "INVALID_ARGUMENT"),
      caseOf("a negative parent is refused", {2, 4, 5}, {0, -1}, 2, 2, "INVALID_ARGUMENT"),
      caseOf("a position outside the cache is refused", {2, 4, 5}, {0, 1}, 5, 2, "INVALID_SHAPE"),
      caseOf("groups that do not fit are refused", {3, 4, 5}, {0, 1, 2}, 2, 2, "INVALID_ARGUMENT"),
      caseOf("T5-base, 16 inputs of 4 beams", {64, 64, 768}, turned, 32, 4),
  };
  reference.cases.back().bench = true;
  return reference;
}

}  // namespace hint
