#include "native/ops/common/reference.h"

#include <limits>

#include "native/ops/greedy/greedy.h"

namespace hint {

OpReference reference_greedy() {
  using namespace greedy;
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    const int64_t rows = r.call.dim("rows"), vocab = r.call.dim("vocab"), capacity = r.call.dim("capacity");
    const auto position = static_cast<int64_t>(r.in(kPosition)[0]);
    bool all = true;
    for (int64_t row = 0; row < rows; ++row) {
      int64_t best = 0;
      const double* logits = r.in(kLogits) + row * vocab;
      for (int64_t i = 1; i < vocab; ++i)
        if (logits[i] > logits[best]) best = i;
      if (r.in(kFinished)[row] != 0) best = 0;
      r.in(kToken)[row] = r.in(kTokens)[row * capacity + position] = static_cast<double>(best);
      if (r.in(kFinished)[row] == 0 && best == r.call.integer("eosId")) r.in(kFinished)[row] = 1;
      all = all && r.in(kFinished)[row] != 0;
    }
    r.in(kPosition)[0] += 1;
    r.in(kStop)[0] = all || r.in(kPosition)[0] == static_cast<double>(capacity);
  };
  const auto state = [](CaseInput logits, IntList finished, int64_t capacity, int32_t position) {
    const int64_t rows = logits.shape[0];
    return std::vector<std::optional<CaseInput>>{
        logits, {{{rows}}}, {{{rows}, finished}}, {{{rows, capacity}}}, {{{1}, {position}}}, {{{1}}}};
  };
  reference.cases = {
      {"odd vocabulary", state({{3, 37}}, {0, 0, 0}, 4, 0)},
      {"a finished row yields padding", state({{3, 129}}, {0, 1, 0}, 4, 2)},
      {"the first of equal logits", state({{2, 2500}, {}, 0.0, 3.0}, {0, 0}, 4, 1)},
      {"the last column stops", state({{2, 16}}, {0, 0}, 4, 3)},
      {"end of sequence finishes the last row", state({{2, 16}, {}, 0.0, 1.0}, {0, 1}, 4, 1), {{"eosId", int64_t{0}}}},
      {"one token", state({{1, 1}}, {0}, 2, 0)},
      {"split between threads", state({{9, 9001}}, {0, 0, 0, 0, 0, 0, 0, 1, 0}, 3, 1)},
      {"no rows", state({{0, 16}}, {}, 4, 1)},
      {"NaN is refused",
       state({{2, 16}, {}, 0.0, std::numeric_limits<double>::quiet_NaN()}, {1, 0}, 4, 0),
       {},
       false,
       "NUMERIC"},
      {"a full sequence is refused", state({{2, 16}}, {0, 0}, 4, 4), {}, false, "INVALID_SHAPE"},
      {"T5-base, 16 rows", state({{16, 32128}}, IntList(16, 0), 128, 5), {}, true},
      {"T5-base, one row", state({{1, 32128}}, {0}, 128, 5), {}, true},
  };
  return reference;
}

}  // namespace hint
