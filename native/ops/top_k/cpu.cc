#include <cmath>
#include <vector>

#include "native/core/error.h"
#include "native/ops/common/logits_row.h"
#include "native/ops/top_k/top_k.h"
#include "native/runtime/parallel.h"

namespace hint::top_k {

void forward(Call& call) {
  const int64_t rows = call.dim("rows"), vocab = call.dim("vocab"), k = call.integer("k");
  const float* logits = call.f(kLogits);
  float* logProbs = call.o(kLogProbs);
  int32_t* ids = call.out(kIds).data<int32_t>();
  std::vector<char> bad(static_cast<size_t>(rows), 0);
  parallelFor(rows, rowGrain(vocab), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* x = logits + row * vocab;
      bool nan = false;
      const float maximum = largestLogit(x, vocab, &nan);
      bad[static_cast<size_t>(row)] = nan || !std::isfinite(maximum);
      if (bad[static_cast<size_t>(row)]) continue;
      const auto logSum = static_cast<float>(std::log(sumOfExponentials(x, vocab, maximum)));
      const std::vector<int32_t> best = largestLogits(x, vocab, k);
      for (int64_t i = 0; i < k; ++i) {
        ids[row * k + i] = best[static_cast<size_t>(i)];
        logProbs[row * k + i] = (x[best[static_cast<size_t>(i)]] - maximum) - logSum;
      }
    }
  });
  for (int64_t row = 0; row < rows; ++row)
    if (bad[static_cast<size_t>(row)])
      fail("NUMERIC", call.describe(), ": the logits of row ", row,
           " contain NaN or give no probabilities; check the weights and the input.");
}

}  // namespace hint::top_k
