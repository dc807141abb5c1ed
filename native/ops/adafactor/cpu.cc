#include <algorithm>
#include <cfloat>
#include <cmath>
#include <numeric>
#include <vector>

#include "native/ops/adafactor/adafactor.h"
#include "native/ops/common/rounding.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

namespace hint::adafactor {
namespace {

/// Sums are taken in f32 over at most this many values per vector lane, and in double beyond.
constexpr int64_t kBlock = 1024;
/// Values per thread below which another thread costs more than it gains.
constexpr int64_t kGrain = 16384;
/// Rows whose squares are summed per column in f32 before the sums move to double.
constexpr int64_t kRowBlock = 64;

struct Settings {
  float decay, mixing, epsilon1, gradientScale;

  explicit Settings(const Call& call)
      : decay(static_cast<float>(call.number("decay"))),
        mixing(1.0f - decay),
        epsilon1(static_cast<float>(call.number("epsilon1"))),
        gradientScale(static_cast<float>(call.number("gradientScale"))) {}
};

HINT_CLONES double sumOfSquares(const float* x, int64_t count) {
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(count, begin + kBlock);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; ++i) sum += x[i] * x[i];
    total += sum;
  }
  return total;
}

/// Sum of g^2 + epsilon of one row, which is also added to the sums of the columns.
HINT_CLONES double squareRow(const Settings& s, const float* __restrict gradient, float* __restrict columns,
                             int64_t count) {
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(count, begin + kBlock);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = begin; j < end; ++j) {
      const float g = gradient[j] * s.gradientScale;
      const float square = g * g + s.epsilon1;
      columns[j] += square;
      sum += square;
    }
    total += sum;
  }
  return total;
}

HINT_CLONES void moveToDouble(float* sums, double* totals, int64_t count) {
  for (int64_t j = 0; j < count; ++j) {
    totals[j] += sums[j];
    sums[j] = 0.0f;
  }
}

/// Sum of (g * row * column)^2 over one row.
HINT_CLONES double factoredSquares(float row, const float* gradient, const float* columns, int64_t count) {
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(count, begin + kBlock);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = begin; j < end; ++j) {
      const float y = gradient[j] * row * columns[j];
      sum += y * y;
    }
    total += sum;
  }
  return total;
}

HINT_CLONES void factoredStep(float row, float step, const float* __restrict gradient, const float* __restrict columns,
                              float* __restrict parameter, int64_t count) {
  for (int64_t j = 0; j < count; ++j) parameter[j] -= step * (gradient[j] * row * columns[j]);
}

/// Updates full moments and returns the sum of squares of the unclipped update.
HINT_CLONES double fullMoments(const Settings& s, const float* __restrict gradient, float* __restrict moment,
                               int64_t count) {
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(count, begin + kBlock);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; ++i) {
      const float g = gradient[i] * s.gradientScale;
      const float v = std::max(s.decay * moment[i] + s.mixing * (g * g + s.epsilon1), FLT_MIN);
      moment[i] = v;
      sum += g * g / v;
    }
    total += sum;
  }
  return total;
}

HINT_CLONES void fullStep(const Settings& s, float step, const float* __restrict gradient,
                          const float* __restrict moment, float* __restrict parameter, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    parameter[i] -= step * (gradient[i] * s.gradientScale * (1.0f / std::sqrt(moment[i])));
}

/// Splits [0, count) as parallelFor does and also gives the index of each part, so that each part has its own sums.
/// They are added in the order of the parts.
struct Split {
  int64_t count, parts;

  Split(int64_t count, int64_t grain) : count(count), parts(std::clamp<int64_t>(count / grain, 1, threadCount())) {}
  template <typename Body>
  void run(const Body& body) const {
    parallelFor(parts, 1, [&](int64_t first, int64_t last) {
      for (int64_t part = first; part < last; ++part) body(part, count * part / parts, count * (part + 1) / parts);
    });
  }
  std::vector<double> sums() const { return std::vector<double>(static_cast<size_t>(parts), 0.0); }
};

double total(const std::vector<double>& sums) { return std::accumulate(sums.begin(), sums.end(), 0.0); }

/// The factor of the update: learning rate, parameter scale and clipping.
float stepSize(const Call& call, double parameterSquares, double updateSquares, double count) {
  double step = call.number("learningRate");
  if (call.integer("multiplyByParameterScale"))
    step *= std::max(call.number("epsilon2"), std::sqrt(parameterSquares / count));
  const double threshold = call.number("clippingThreshold");
  if (threshold > 0) step /= std::max(1.0, std::sqrt(updateSquares / count) / threshold);
  return static_cast<float>(step);
}

void updateFull(Call& call) {
  const Settings s(call);
  const bool scaled = call.integer("multiplyByParameterScale") != 0;
  float *parameter = call.in(kParameter).data<float>(), *moment = call.in(kFullMoment).data<float>();
  const float* gradient = call.f(kGradient);
  const Split split(call.dim("n"), kGrain);
  std::vector<double> parameterSquares = split.sums(), updateSquares = split.sums();
  split.run([&](int64_t part, int64_t begin, int64_t end) {
    updateSquares[part] = fullMoments(s, gradient + begin, moment + begin, end - begin);
    if (scaled) parameterSquares[part] = sumOfSquares(parameter + begin, end - begin);
  });
  const float step = stepSize(call, total(parameterSquares), total(updateSquares), static_cast<double>(split.count));
  const Rounding rounding = roundingOf(call);
  split.run([&](int64_t, int64_t first, int64_t last) {
    for (int64_t begin = first; begin < last; begin += kBlock) {
      const int64_t count = std::min(last - begin, kBlock);
      fullStep(s, step, gradient + begin, moment + begin, parameter + begin, count);
      roundValues(rounding, parameter + begin, begin, count);
    }
  });
}

void updateFactored(Call& call) {
  const int64_t rows = call.dim("rows"), columns = call.dim("columns");
  const Settings s(call);
  const bool scaled = call.integer("multiplyByParameterScale") != 0;
  float* parameter = call.in(kParameter).data<float>();
  float *rowMoment = call.in(kRowMoment).data<float>(), *columnMoment = call.in(kColumnMoment).data<float>();
  const float* gradient = call.f(kGradient);

  const Split split(rows, std::max<int64_t>(1, kGrain / columns));
  std::vector<double> parameterSquares = split.sums(), updateSquares = split.sums();
  Scratch blockSums(split.parts * columns);
  std::vector<double> columnSums(static_cast<size_t>(split.parts * columns), 0.0);
  split.run([&](int64_t part, int64_t begin, int64_t end) {
    float* sums = blockSums + part * columns;
    std::fill(sums, sums + columns, 0.0f);
    for (int64_t row = begin; row < end; ++row) {
      const double sum = squareRow(s, gradient + row * columns, sums, columns);
      rowMoment[row] = s.decay * rowMoment[row] + s.mixing * static_cast<float>(sum / static_cast<double>(columns));
      if (scaled) parameterSquares[part] += sumOfSquares(parameter + row * columns, columns);
      if ((row - begin) % kRowBlock == kRowBlock - 1 || row == end - 1)
        moveToDouble(sums, columnSums.data() + part * columns, columns);
    }
  });

  Scratch columnFactors(columns);
  for (int64_t j = 0; j < columns; ++j) {
    double sum = 0;
    for (int64_t part = 0; part < split.parts; ++part) sum += columnSums[static_cast<size_t>(part * columns + j)];
    columnMoment[j] = s.decay * columnMoment[j] + s.mixing * static_cast<float>(sum / static_cast<double>(rows));
    // The floors keep a gradient of zero at an update of zero when a moment has underflown, and keep NaN visible.
    columnFactors[j] = 1.0f / std::sqrt(std::max(columnMoment[j], FLT_MIN));
  }
  const double rowSum = std::accumulate(rowMoment, rowMoment + rows, 0.0);
  const float rowMean = std::max(static_cast<float>(rowSum / static_cast<double>(rows)), FLT_MIN);
  const auto rowFactor = [&](int64_t row) {
    return s.gradientScale / std::sqrt(std::max(rowMoment[row] / rowMean, FLT_MIN));
  };

  if (call.number("clippingThreshold") > 0)
    split.run([&](int64_t part, int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        updateSquares[part] += factoredSquares(rowFactor(row), gradient + row * columns, columnFactors, columns);
    });
  const auto count = static_cast<double>(rows) * static_cast<double>(columns);
  const float step = stepSize(call, total(parameterSquares), total(updateSquares), count);
  const Rounding rounding = roundingOf(call);
  split.run([&](int64_t, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* values = parameter + row * columns;
      factoredStep(rowFactor(row), step, gradient + row * columns, columnFactors, values, columns);
      roundValues(rounding, values, row * columns, columns);
    }
  });
}

}  // namespace

void forward(Call& call) {
  if (call.dim("n") == 0) return;
  if (call.has(kFullMoment))
    updateFull(call);
  else
    updateFactored(call);
}

}  // namespace hint::adafactor
