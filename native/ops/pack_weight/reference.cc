#include "native/ops/common/reference.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "native/ops/common/packed_order.h"
#include "native/ops/pack_weight/pack_weight.h"

namespace hint {
namespace {

double toBf16(double value) {
  if (value == 0) return 0;
  int exponent;
  std::frexp(value, &exponent);
  const double place = std::ldexp(1.0, exponent - 8);
  return std::nearbyint(value / place) * place;
}

/// What brings rows to the median row's size whose largest share of a column is over eight times, or below an eighth
/// of, the median row's.
std::vector<double> factorsOfRows(int64_t dIn, int64_t dOut, const auto& weight) {
  std::vector<double> largest(static_cast<size_t>(dIn), 0.0), known;
  for (int64_t out = 0; out < dOut; ++out) {
    double column = 0;
    for (int64_t in = 0; in < dIn; ++in) column = std::fmax(column, std::fabs(weight(in, out)));
    for (int64_t in = 0; in < dIn && column > 0; ++in) {
      double& row = largest[static_cast<size_t>(in)];
      row = std::fmax(row, std::fabs(weight(in, out)) / column);
    }
  }
  std::copy_if(largest.begin(), largest.end(), std::back_inserter(known), [](double row) { return row > 0; });
  std::sort(known.begin(), known.end());
  for (double& row : largest) {
    const double ratio = known.empty() ? 1.0 : row / known[known.size() / 2];
    row = ratio == 0.0 ? 0.0 : ratio >= 0.125 && ratio <= 8.0 ? 1.0 : std::exp2(std::round(std::log2(ratio)));
  }
  return largest;
}

void forward(ReferenceCall& r) {
  using namespace pack_weight;
  const int64_t rows = r.call.dim("rows"), columns = r.call.dim("columns"), values = r.call.dim("values");
  const bool transposed = r.call.integer("transposed") != 0;
  const int64_t dOut = r.call.dim("dOut"), dIn = transposed ? columns : rows;
  const DType wanted = dtypeFromName(r.call.word("dtype"));
  const DType held = packedDType(wanted);
  const std::vector<int64_t> order = packedOrder(dIn, dOut, held);
  for (int64_t matrix = 0; matrix < r.call.dim("groups") * r.call.dim("slots"); ++matrix) {
    const auto given = [&](int64_t in, int64_t out) {
      return r.in(kWeight)[matrix * rows * columns + (transposed ? out * columns + in : in * columns + out)];
    };
    std::vector<double> factor(static_cast<size_t>(dIn), 1.0);
    if (held == DType::i8) factor = factorsOfRows(dIn, dOut, given);
    for (int64_t out = 0; out < dOut; ++out) {
      const auto weight = [&](int64_t in) {
        const double by = factor[static_cast<size_t>(in)];
        return by == 0.0 ? 0.0 : given(in, out) / by;
      };
      double largest = 0, sum = 0;
      for (int64_t in = 0; in < dIn; ++in) largest = std::fmax(largest, std::fabs(weight(in)));
      // In f32 as in the kernel, because the rounding of this product decides the step of a value between two steps.
      const float inverse = largest > 0 ? 127.0f / static_cast<float>(largest) : 0.0f;
      for (int64_t in = 0; in < dIn; ++in) {
        double value = weight(in);
        if (wanted == DType::bf16) value = toBf16(value);
        if (held == DType::i8) sum += value = std::nearbyint(static_cast<float>(value) * inverse);
        r.out(kPacked)[matrix * values + order[static_cast<size_t>(in * dOut + out)]] = value;
      }
      if (held != DType::i8) continue;
      r.out(kScale)[matrix * dOut + out] = largest / 127;
      r.out(kColumnSum)[matrix * dOut + out] = sum;
    }
    for (int64_t in = 0; held == DType::i8 && in < dIn; ++in)
      r.out(kRowFactor)[matrix * dIn + in] = factor[static_cast<size_t>(in)];
  }
}

}  // namespace

OpReference reference_pack_weight() {
  OpReference reference;
  reference.forward = forward;
  const std::pair<std::string, Attribute> generated("transposed", int64_t{0});
  const auto dtype = [](const char* name) { return std::pair<std::string, Attribute>("dtype", std::string(name)); };
  const std::pair<std::string, Attribute> finite("finite", int64_t{1});
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  reference.cases = {
      {"odd sizes", {{{{1, 1, 13, 17}}}}},
      {"odd sizes, as generated", {{{{1, 1, 17, 13}}}}, {generated}},
      {"one output column", {{{{1, 1, 1, 40}}}}},
      {"one input column", {{{{1, 1, 70, 1}}}}},
      {"tasks and slots", {{{{2, 3, 33, 50}}}}, {generated}},
      {"no inputs", {{{{1, 1, 3, 0}}}}},
      {"bf16, odd sizes", {{{{1, 1, 13, 17}}}}, {dtype("bf16")}},
      {"bf16, tasks and slots", {{{{2, 2, 33, 50}}}}, {generated, dtype("bf16")}},
      {"f32 of bf16", {{{{1, 1, 13, 17}, {}, 1.0, 0.0, DType::bf16}}}},
      {"bf16 of bf16", {{{{1, 2, 33, 50}, {}, 1.0, 0.0, DType::bf16}}}, {generated, dtype("bf16")}},
      {"i8 of bf16", {{{{1, 1, 13, 17}, {}, 1.0, 0.0, DType::bf16}}}, {dtype("i8")}},
      {"blocks of rows and columns and a rest of both", {{{{1, 2, 150, 130}}}}, {finite}},
      {"blocks and a rest, as generated", {{{{2, 2, 130, 150}}}}, {generated, finite}},
      {"bf16, blocks and a rest", {{{{1, 1, 150, 130}}}}, {dtype("bf16")}},
      {"bf16, blocks and a rest, as generated", {{{{1, 2, 130, 150}}}}, {generated, dtype("bf16")}},
      {"f32 of bf16, blocks and a rest", {{{{1, 1, 150, 130}, {}, 1.0, 0.0, DType::bf16}}}},
      {"f32 of bf16, as generated", {{{{1, 2, 130, 150}, {}, 1.0, 0.0, DType::bf16}}}, {generated, finite}},
      {"numbers that are none are refused", {{{{1, 2, 17, 19}, {}, 0.0, nan}}}, {finite}, false, "NUMERIC"},
      {"infinities are refused", {{{{2, 1, 17, 64}, {}, 0.0, infinity}}}, {generated, finite}, false, "NUMERIC"},
      {"bf16 infinities are refused", {{{{1, 1, 5, 9}, {}, 0.0, infinity, DType::bf16}}}, {finite}, false, "NUMERIC"},
      {"i8, numbers that are none are refused",
       {{{{1, 1, 5, 9}, {}, 0.0, nan}}},
       {dtype("i8"), finite},
       false,
       "NUMERIC"},
      {"weights that are integers are refused",
       {{{{1, 1, 4, 5}, {}, 20.0, 0.0, DType::i8}}},
       {},
       false,
       "INVALID_ARGUMENT"},
      {"i8, odd sizes", {{{{1, 1, 13, 17}}}}, {dtype("i8")}},
      {"i8, tasks and slots", {{{{2, 2, 33, 50}}}}, {generated, dtype("i8")}},
      {"i8, one output column, rows far from the median", {{{{1, 1, 1, 40}}}}, {dtype("i8")}},
      {"i8, one output column as generated", {{{{1, 2, 40, 1}}}}, {generated, dtype("i8")}},
      {"i8, a matrix of zeros", {{{{1, 1, 4, 5}, {}, 0.0}}}, {dtype("i8")}},
      {"another dtype is refused", {{{{1, 1, 4, 5}}}}, {dtype("i32")}, false, "INVALID_ARGUMENT"},
      {"T5-base projection", {{{{1, 1, 768, 768}}}}, {}, true},
      {"T5-base projection, i8", {{{{1, 1, 768, 768}}}}, {dtype("i8")}, true},
      {"T5-base adapters of a task", {{{{1, 24, 768, 512}}}}, {generated}, true},
      {"T5-base adapters of a task, checked", {{{{1, 24, 768, 512}}}}, {generated, finite}, true},
      {"T5-base feed-forward of bf16", {{{{1, 1, 2048, 768}, {}, 1.0, 0.0, DType::bf16}}}, {}, true},
  };
  return reference;
}

}  // namespace hint
