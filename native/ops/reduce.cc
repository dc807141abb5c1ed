#include "native/ops/reduce.h"

#include <algorithm>
#include <vector>

#include "native/ops/elementwise.h"
#include "native/runtime/parallel.h"

namespace hint {
namespace {

// Enough independent sums to hide the latency of an addition behind full-width vectors.
constexpr int kLanes = 32;

inline double sumLanes(const double* lanes) {
  double total = 0;
  for (int lane = 0; lane < kLanes; ++lane) total += lanes[lane];
  return total;
}

HINT_CLONES double sumRange(const float* x, int64_t count) {
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += static_cast<double>(x[i + lane]);
  for (; i < count; ++i) lanes[i % kLanes] += static_cast<double>(x[i]);
  return sumLanes(lanes);
}

HINT_CLONES double sumSquaresRange(const float* x, int64_t count) {
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) {
      const auto value = static_cast<double>(x[i + lane]);
      lanes[lane] += value * value;
    }
  for (; i < count; ++i) lanes[i % kLanes] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sumLanes(lanes);
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
