#include "native/ops/common/reference.h"

#include <cmath>

#include "native/math/bf16.h"
#include "native/math/dot_kernel.h"
#include "native/math/quantize.h"
#include "native/ops/common/activation.h"
#include "native/ops/common/packed_order.h"
#include "native/ops/packed_linear/packed_linear.h"

namespace hint {
namespace {

/// Converts a row to the values that the kernel multiplies: unchanged, or, where the processor has such products,
/// rounded to bf16 or quantised. Returns the step of a quantised row.
double roundRow(DType dtype, double* x, const double* factor, int64_t count) {
  float step = 0.0f;
  if (!hasDotProducts(dtype)) {
    for (int64_t i = 0; factor && i < count; ++i) x[i] *= factor[i];
    return step;
  }
  std::vector<float> row(x, x + count);
  if (dtype == DType::bf16) {
    std::vector<uint16_t> halves(row.size());
    toBf16(row.data(), halves.data(), count);
    fromBf16(halves.data(), row.data(), count);
  } else if (dtype == DType::i8) {
    std::vector<uint8_t> steps(row.size());
    const std::vector<float> factors(factor, factor + count);
    step = quantizeRow(row.data(), factors.data(), count, steps.data());
    for (size_t i = 0; i < row.size(); ++i) row[i] = step * static_cast<float>(steps[i] - 128);
  }
  for (size_t i = 0; i < row.size(); ++i) x[i] = row[i];
  return step;
}

void forward(ReferenceCall& r) {
  using namespace packed_linear;
  const int64_t rows = r.call.dim("rows"), dIn = r.call.dim("dIn"), dOut = r.call.dim("dOut");
  const int64_t values = r.call.dim("values"), slots = r.call.dim("slots"), slot = r.call.integer("slot");
  const IntList& offsets = r.call.list("rowOffsets");
  const DType dtype = r.call.in(kPacked).dtype;
  const std::vector<int64_t> order = packedOrder(dIn, dOut, dtype);
  for (int64_t i = 0; i < rows; ++i) {
    int64_t group = 0;
    while (!offsets.empty() && offsets[static_cast<size_t>(group) + 1] <= i) ++group;
    const int64_t block = group * slots + slot;
    const double step =
        roundRow(dtype, r.in(kX) + i * dIn, dtype == DType::i8 ? r.in(kRowFactor) + block * dIn : nullptr, dIn);
    for (int64_t j = 0; j < dOut; ++j) {
      double sum = 0.0, columnSum = 0.0;
      for (int64_t k = 0; k < dIn; ++k) {
        const double weight = r.in(kPacked)[block * values + order[static_cast<size_t>(k * dOut + j)]];
        sum += r.in(kX)[i * dIn + k] * weight;
        columnSum += weight;
      }
      // The kernel uses the given sum of a column as it is; pack_weight computes the true one.
      if (dtype == DType::i8)
        sum = r.in(kScale)[block * dOut + j] *
              (sum + step * 128.0 * (columnSum - std::trunc(r.in(kColumnSum)[block * dOut + j])));
      if (r.has(kBias)) sum += r.in(kBias)[block * dOut + j];
      r.out(kY)[i * dOut + j] =
          activationReference(activationOf(r.call), sum) + (r.has(kResidual) ? r.in(kResidual)[i * dOut + j] : 0.0);
    }
  }
}

/// Packed matrices with arbitrary values.
CaseInput packed(int64_t groups, int64_t slots, int64_t dIn, int64_t dOut, DType dtype = DType::f32) {
  return {{groups, slots, packedSize(dIn, dOut, dtype)}, {}, 0.2, 0.0, dtype};
}

CaseInput steps(int64_t groups, int64_t slots, int64_t dIn, int64_t dOut) {
  return {{groups, slots, packedSize(dIn, dOut, DType::i8)}, {}, 20.0, 0.0, DType::i8};
}

/// Factors of elements of x, of which some are far from one.
CaseInput factors(int64_t groups, int64_t slots, int64_t dIn) { return {{groups, slots, dIn}, {}, 3.0}; }

CaseInput sums(int64_t groups, int64_t slots, int64_t dOut) { return {{groups, slots, dOut}, {}, 9.0}; }

}  // namespace

OpReference reference_packed_linear() {
  OpReference reference;
  reference.forward = forward;
  const std::string gelu = "gelu", tanh = "tanh";
  const auto none = std::nullopt;
  const auto attribute = [](const char* name, int64_t value) { return std::pair<std::string, Attribute>(name, value); };
  const auto dOut = [&](int64_t width) { return attribute("dOut", width); };
  const auto offsets = [](IntList list) { return std::pair<std::string, Attribute>("rowOffsets", std::move(list)); };
  reference.cases = {
      {"odd sizes", {{{{5, 17}}}, packed(1, 1, 17, 13), none, none, none, none}, {dOut(13)}},
      {"one row", {{{{1, 40}}}, packed(1, 1, 40, 70), none, none, none, none}, {dOut(70)}},
      {"one column", {{{{9, 33}}}, packed(1, 1, 33, 1), none, none, none, none}, {dOut(1)}},
      {"many rows, bias and tanh",
       {{{{131, 19}}}, packed(1, 1, 19, 50), none, none, {{{1, 1, 50}}}, none},
       {dOut(50), {"activation", tanh}}},
      {"groups of 3, 0, 1 and 5 rows, everything on",
       {{{{9, 11}}}, packed(4, 3, 11, 7), none, none, {{{4, 3, 7}}}, {{{9, 7}}}},
       {dOut(7), offsets({0, 3, 3, 4, 9}), attribute("slot", 1), {"activation", gelu}}},
      {"residual only",
       {{{{4, 8}}}, packed(1, 2, 8, 24), none, none, none, {{{4, 24}}}},
       {dOut(24), attribute("slot", 1)}},
      {"bf16, odd sizes", {{{{5, 17}}}, packed(1, 1, 17, 13, DType::bf16), none, none, {{{1, 1, 13}}}}, {dOut(13)}},
      {"bf16, groups of 2 and 1 rows",
       {{{{3, 40}}}, packed(2, 2, 40, 33, DType::bf16), none, none, none, {{{3, 33}}}},
       {dOut(33), offsets({0, 2, 3}), attribute("slot", 1), {"activation", gelu}}},
      {"bf16, many rows and some columns over",
       {{{{195, 70}}}, packed(1, 1, 70, 100, DType::bf16), none, none, {{{1, 1, 100}}}, {{{195, 100}}}},
       {dOut(100), {"activation", gelu}}},
      {"bf16, longer columns than are widened at a time",
       {{{{20, 1500}}}, packed(1, 1, 1500, 30, DType::bf16), none, none, none, none},
       {dOut(30)}},
      {"i8, longer columns than are widened at a time, relu",
       {{{{20, 1500}}},
        steps(1, 1, 1500, 30),
        {{{1, 1, 30}, {}, 1e-3}},
        sums(1, 1, 30),
        none,
        none,
        factors(1, 1, 1500)},
       {dOut(30), {"activation", std::string("relu")}}},
      {"i8, odd sizes",
       {{{{5, 17}}}, steps(1, 1, 17, 13), {{{1, 1, 13}}}, sums(1, 1, 13), none, none, factors(1, 1, 17)},
       {dOut(13)}},
      {"i8, one row",
       {{{{1, 64}}}, steps(1, 1, 64, 48), {{{1, 1, 48}}}, sums(1, 1, 48), none, none, factors(1, 1, 64)},
       {dOut(48)}},
      {"i8, more rows than are quantised at a time, everything on",
       {{{{300, 33}}},
        steps(1, 1, 33, 20),
        {{{1, 1, 20}}},
        sums(1, 1, 20),
        {{{1, 1, 20}}},
        {{{300, 20}}},
        factors(1, 1, 33)},
       {dOut(20), {"activation", gelu}}},
      {"i8, groups of 3, 0, 1 and 5 rows",
       {{{{9, 11}}},
        steps(4, 3, 11, 7),
        {{{4, 3, 7}, {}, 1e-3}},
        sums(4, 3, 7),
        {{{4, 3, 7}}},
        none,
        factors(4, 3, 11)},
       {dOut(7), offsets({0, 3, 3, 4, 9}), attribute("slot", 1), {"activation", tanh}}},
      {"i8, rows of zeros",
       {{{{2, 8}, {}, 0.0}}, steps(1, 1, 8, 5), {{{1, 1, 5}}}, sums(1, 1, 5), none, none, factors(1, 1, 8)},
       {dOut(5)}},
      {"i8 without scales is refused", {{{{2, 8}}}, steps(1, 1, 8, 5)}, {dOut(5)}, false, "INVALID_ARGUMENT"},
      {"no rows", {{{{0, 8}}}, packed(1, 1, 8, 3), none, none, none, none}, {dOut(3)}},
      {"no columns to sum, everything on",
       {{{{5, 0}}}, packed(1, 2, 0, 3), none, none, {{{1, 2, 3}}}, {{{5, 3}}}},
       {dOut(3), attribute("slot", 1), {"activation", gelu}}},
      {"i8, no columns to sum",
       {{{{2, 0}}}, steps(1, 1, 0, 3), {{{1, 1, 3}}}, sums(1, 1, 3), none, none, factors(1, 1, 0)},
       {dOut(3)}},
      {"weights of another width are refused",
       {{{{2, 8}}}, packed(1, 1, 8, 64), none, none, none, none},
       {dOut(300)},
       false,
       "INVALID_SHAPE"},
      {"a slot that does not exist is refused",
       {{{{2, 8}}}, packed(1, 2, 8, 3), none, none, none, none},
       {dOut(3), attribute("slot", 2)},
       false,
       "INVALID_ARGUMENT"},
      {"offsets of another batch are refused",
       {{{{2, 8}}}, packed(2, 1, 8, 3), none, none, none, none},
       {dOut(3), offsets({0, 1, 3})},
       false,
       "INVALID_SHAPE"},
      {"T5-base projection", {{{{4096, 768}}}, packed(1, 1, 768, 768), none, none, none, none}, {dOut(768)}, true},
      {"T5-base projection, 25 decoded rows",
       {{{{25, 768}}}, packed(1, 1, 768, 768), none, none, none, none},
       {dOut(768)},
       true},
      {"T5-base feed-forward in, 25 decoded rows",
       {{{{25, 768}}}, packed(1, 1, 768, 2048), none, none, none, none},
       {dOut(2048)},
       true},
      {"T5-base feed-forward out, 25 decoded rows",
       {{{{25, 2048}}}, packed(1, 1, 2048, 768), none, none, none, none},
       {dOut(768)},
       true},
      {"T5-base projection, bf16",
       {{{{4096, 768}}}, packed(1, 1, 768, 768, DType::bf16), none, none, none, none},
       {dOut(768)},
       true},
      {"T5-base feed-forward in, bf16",
       {{{{4096, 768}}}, packed(1, 1, 768, 2048, DType::bf16), none, none, none, none},
       {dOut(2048)},
       true},
      {"T5-base projection, 25 decoded rows, bf16",
       {{{{25, 768}}}, packed(1, 1, 768, 768, DType::bf16), none, none, none, none},
       {dOut(768)},
       true},
      {"T5-base projection, one decoded row, bf16",
       {{{{1, 768}}}, packed(1, 1, 768, 768, DType::bf16), none, none, none, none},
       {dOut(768)},
       true},
      {"T5-base logits of one row, bf16",
       {{{{1, 768}}}, packed(1, 1, 768, 32128, DType::bf16), none, none, none, none},
       {dOut(32128)},
       true},
      {"T5-base projection, 25 decoded rows, i8",
       {{{{25, 768}}}, steps(1, 1, 768, 768), {{{1, 1, 768}}}, sums(1, 1, 768), none, none, factors(1, 1, 768)},
       {dOut(768)},
       true},
      {"T5-base projection, i8",
       {{{{4096, 768}}}, steps(1, 1, 768, 768), {{{1, 1, 768}}}, sums(1, 1, 768), none, none, factors(1, 1, 768)},
       {dOut(768)},
       true},
      {"T5-base logits of one row",
       {{{{1, 768}}}, packed(1, 1, 768, 32128), none, none, none, none},
       {dOut(32128)},
       true},
      {"T5-base adapters down, 8 tasks",
       {{{{4096, 768}}}, packed(8, 1, 768, 512), none, none, {{{8, 1, 512}}}, none},
       {dOut(512), offsets({0, 512, 1024, 1536, 2048, 2560, 3072, 3584, 4096}), {"activation", gelu}},
       true},
  };
  return reference;
}

}  // namespace hint
