#include "native/ops/reference.h"

#include "native/ops/activation.h"
#include "native/ops/packed_linear/packed_linear.h"
#include "native/runtime/packed_matrix.h"

namespace hint {
namespace {

/// Where the matrix's value [in, out] lies in its packed form.
std::vector<int64_t> packedOrder(int64_t dIn, int64_t dOut, int64_t floats) {
  std::vector<float> numbers(static_cast<size_t>(dIn * dOut)), packed(static_cast<size_t>(floats));
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i + 1);
  packMatrix(dIn, dOut, false, numbers.data(), packed.data());
  std::vector<int64_t> order(numbers.size());
  for (size_t i = 0; i < packed.size(); ++i)
    if (packed[i] > 0) order[static_cast<size_t>(packed[i]) - 1] = static_cast<int64_t>(i);
  return order;
}

void forward(ReferenceCall& r) {
  using namespace packed_linear;
  const int64_t rows = r.call.dim("rows"), dIn = r.call.dim("dIn"), dOut = r.call.dim("dOut");
  const int64_t floats = r.call.dim("floats"), slots = r.call.dim("slots"), slot = r.call.integer("slot");
  const IntList& offsets = r.call.list("rowOffsets");
  const std::vector<int64_t> order = packedOrder(dIn, dOut, floats);
  for (int64_t i = 0; i < rows; ++i) {
    int64_t group = 0;
    while (!offsets.empty() && offsets[static_cast<size_t>(group) + 1] <= i) ++group;
    const int64_t block = group * slots + slot;
    for (int64_t j = 0; j < dOut; ++j) {
      double sum = r.has(kBias) ? r.in(kBias)[block * dOut + j] : 0.0;
      for (int64_t k = 0; k < dIn; ++k)
        sum += r.in(kX)[i * dIn + k] * r.in(kPacked)[block * floats + order[static_cast<size_t>(k * dOut + j)]];
      r.out(kY)[i * dOut + j] =
          activationReference(activationOf(r.call), sum) + (r.has(kResidual) ? r.in(kResidual)[i * dOut + j] : 0.0);
    }
  }
}

/// Shape of packed matrices; their values are as good as any.
CaseInput packed(int64_t groups, int64_t slots, int64_t dIn, int64_t dOut) {
  return {{groups, slots, packedFloats(dIn, dOut)}, {}, 0.2};
}

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
      {"odd sizes", {{{{5, 17}}}, packed(1, 1, 17, 13), none, none}, {dOut(13)}},
      {"one row", {{{{1, 40}}}, packed(1, 1, 40, 70), none, none}, {dOut(70)}},
      {"one column", {{{{9, 33}}}, packed(1, 1, 33, 1), none, none}, {dOut(1)}},
      {"many rows, bias and tanh",
       {{{{131, 19}}}, packed(1, 1, 19, 50), {{{1, 1, 50}}}, none},
       {dOut(50), {"activation", tanh}}},
      {"groups of 3, 0, 1 and 5 rows, everything on",
       {{{{9, 11}}}, packed(4, 3, 11, 7), {{{4, 3, 7}}}, {{{9, 7}}}},
       {dOut(7), offsets({0, 3, 3, 4, 9}), attribute("slot", 1), {"activation", gelu}}},
      {"residual only", {{{{4, 8}}}, packed(1, 2, 8, 24), none, {{{4, 24}}}}, {dOut(24), attribute("slot", 1)}},
      {"no rows", {{{{0, 8}}}, packed(1, 1, 8, 3), none, none}, {dOut(3)}},
      {"weights of another width are refused",
       {{{{2, 8}}}, packed(1, 1, 8, 64), none, none},
       {dOut(300)},
       false,
       "INVALID_SHAPE"},
      {"a slot that does not exist is refused",
       {{{{2, 8}}}, packed(1, 2, 8, 3), none, none},
       {dOut(3), attribute("slot", 2)},
       false,
       "INVALID_ARGUMENT"},
      {"offsets of another batch are refused",
       {{{{2, 8}}}, packed(2, 1, 8, 3), none, none},
       {dOut(3), offsets({0, 1, 3})},
       false,
       "INVALID_SHAPE"},
      {"T5-base projection", {{{{4096, 768}}}, packed(1, 1, 768, 768), none, none}, {dOut(768)}, true},
      {"T5-base projection, 25 decoded rows", {{{{25, 768}}}, packed(1, 1, 768, 768), none, none}, {dOut(768)}, true},
      {"T5-base logits of one row", {{{{1, 768}}}, packed(1, 1, 768, 32128), none, none}, {dOut(32128)}, true},
      {"T5-base adapters down, 8 tasks",
       {{{{4096, 768}}}, packed(8, 1, 768, 512), {{{8, 1, 512}}}, none},
       {dOut(512), offsets({0, 512, 1024, 1536, 2048, 2560, 3072, 3584, 4096}), {"activation", gelu}},
       true},
  };
  return reference;
}

}  // namespace hint
