#include "native/ops/common/reference.h"

#include <cmath>

#include "native/ops/cross_entropy/cross_entropy.h"

namespace hint {
namespace {

void forward(ReferenceCall& r) {
  using namespace cross_entropy;
  const int64_t rows = r.call.dim("rows"), d = r.call.dim("d"), vocab = r.call.dim("vocab");
  for (int64_t i = 0; i < rows; ++i) {
    Doubles logits(static_cast<size_t>(vocab));
    double maximum = -INFINITY, sum = 0;
    for (int64_t j = 0; j < vocab; ++j) {
      double& logit = logits[static_cast<size_t>(j)];
      for (int64_t k = 0; k < d; ++k) logit += r.in(kHidden)[i * d + k] * r.in(kWeight)[j * d + k];
      maximum = std::max(maximum, logit);
    }
    for (double logit : logits) sum += std::exp(logit - maximum);
    const double logZ = maximum + std::log(sum);
    r.out(kLogSumExp)[i] = logZ;
    r.out(kLoss)[i] = logZ - logits[static_cast<size_t>(r.call.ids(kTargets)[i])];
    r.out(kZTerm)[i] = r.call.number("zLoss") * logZ * logZ;
  }
}

}  // namespace

OpReference reference_cross_entropy() {
  OpReference reference;
  reference.forward = forward;
  const auto chunk = [](int64_t rows) { return std::pair<std::string, Attribute>("chunkRows", rows); };
  reference.cases = {
      {"odd sizes, z-loss", {{{{5, 13}}}, {{{37, 13}}}, {{{5}, {0, 36, 7, 7, 20}}}}, {{"zLoss", 0.1}}},
      {"last chunk is smaller", {{{{5, 8}}}, {{{11, 8}}}, {{{5}, {0, 1, 2, 3, 10}}}}, {{"zLoss", 0.1}, chunk(2)}},
      {"one row, vocabulary of several tiles", {{{{1, 4}}}, {{{4099, 4}}}, {{{1}, {4098}}}}, {{"zLoss", 0.01}}},
      {"logits in the hundreds", {{{{3, 16}, {}, 30.0}}, {{{9, 16}}}, {{{3}, {8, 0, 4}}}}},
      {"no rows", {{{{0, 8}}}, {{{5, 8}}}, {{{0}}}}},
      {"a target beyond the vocabulary is refused",
       {{{{2, 8}}}, {{{5, 8}}}, {{{2}, {0, 5}}}},
       {},
       false,
       "INVALID_TOKEN"},
      {"a negative target is refused", {{{{2, 8}}}, {{{5, 8}}}, {{{2}, {-1, 4}}}}, {}, false, "INVALID_TOKEN"},
      {"T5-base, 512 targets",
       {{{{512, 768}}}, {{{32128, 768}, {}, 0.03}}, {{{512}, IntList(512, 77)}}},
       {{"zLoss", 1e-4}},
       true},
  };
  return reference;
}

}  // namespace hint
