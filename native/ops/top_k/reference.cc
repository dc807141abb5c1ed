#include "native/ops/common/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "native/ops/top_k/top_k.h"

namespace hint {

OpReference reference_top_k() {
  using namespace top_k;
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    const int64_t rows = r.call.dim("rows"), vocab = r.call.dim("vocab"), k = r.call.integer("k");
    for (int64_t row = 0; row < rows; ++row) {
      const double* logits = r.in(kLogits) + row * vocab;
      std::vector<int64_t> order(static_cast<size_t>(vocab));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return logits[a] > logits[b]; });
      double sum = 0;
      for (int64_t i = 0; i < vocab; ++i) sum += std::exp(logits[i] - logits[order[0]]);
      for (int64_t i = 0; i < k; ++i) {
        const int64_t id = order[static_cast<size_t>(i)];
        r.out(kIds)[row * k + i] = static_cast<double>(id);
        r.out(kLogProbs)[row * k + i] = logits[id] - logits[order[0]] - std::log(sum);
      }
    }
  };
  const auto choose = [](int64_t k) { return std::vector<std::pair<std::string, Attribute>>{{"k", k}}; };
  const double infinity = std::numeric_limits<double>::infinity();
  reference.cases = {
      {"odd vocabulary", {{{{3, 37}}}}, choose(4)},
      {"all of the vocabulary", {{{{2, 19}}}}, choose(19)},
      {"equal logits, over the border of a block", {{{{2, 2500}, {}, 0.0, 3.0}}}, choose(6)},
      {"large logits do not overflow", {{{{2, 300}, {}, 4000.0, 100.0}}}, choose(3)},
      {"split between threads", {{{{9, 9001}, {}, 3.0}}}, choose(8)},
      {"one token", {{{{1, 1}}}}, choose(1)},
      {"no rows", {{{{0, 16}}}}, choose(2)},
      {"NaN is refused", {{{{2, 16}, {}, 0.0, std::nan("")}}}, choose(2), false, "NUMERIC"},
      {"no probability at all is refused", {{{{2, 16}, {}, 0.0, -infinity}}}, choose(2), false, "NUMERIC"},
      {"more than the vocabulary is refused", {{{{2, 16}}}}, choose(17), false, "INVALID_ARGUMENT"},
      {"none is refused", {{{{2, 16}}}}, choose(0), false, "INVALID_ARGUMENT"},
      {"T5-base, 64 beams", {{{{64, 32128}, {}, 3.0}}}, choose(8), true},
      {"T5-base, one row", {{{{1, 32128}, {}, 3.0}}}, choose(2), true},
  };
  return reference;
}

}  // namespace hint
