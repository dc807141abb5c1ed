#include "native/ops/common/reduce.h"

#include <algorithm>
#include <vector>

#include "native/ops/common/lanes.h"
#include "native/runtime/parallel.h"

namespace hint {
namespace {

// Enough independent sums to hide the latency of an addition behind full-width vectors.
constexpr int kLanes = 32;

HINT_CLONES double sumRange(const float* x, int64_t count) {
  return sumInLanes<kLanes, double>(count, [=](int64_t i) { return static_cast<double>(x[i]); });
}

HINT_CLONES double sumSquaresRange(const float* x, int64_t count) {
  return sumInLanes<kLanes, double>(count,
                                    [=](int64_t i) { return static_cast<double>(x[i]) * static_cast<double>(x[i]); });
}

double reduce(double (*range)(const float*, int64_t), const float* x, int64_t count) {
  const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(threadCount(), count / kElementGrain));
  if (parts == 1) return range(x, count);
  std::vector<double> sums(static_cast<size_t>(parts));
  parallelFor(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = count * part / parts, last = count * (part + 1) / parts;
      sums[static_cast<size_t>(part)] = range(x + first, last - first);
    }
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

}  // namespace

double sumOf(const float* x, int64_t count) { return reduce(sumRange, x, count); }
double sumOfSquaresOf(const float* x, int64_t count) { return reduce(sumSquaresRange, x, count); }

}  // namespace hint
