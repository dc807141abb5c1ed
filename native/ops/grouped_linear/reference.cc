#include "native/ops/common/reference.h"

#include "native/ops/common/activation.h"
#include "native/ops/grouped_linear/grouped_linear.h"

namespace hint {
namespace {

void forward(ReferenceCall& r) {
  using namespace grouped_linear;
  const int64_t rows = r.call.dim("rows"), dIn = r.call.dim("dIn"), dOut = r.call.dim("dOut");
  const int64_t slots = r.call.dim("slots"), slot = r.call.integer("slot");
  const IntList& offsets = r.call.list("rowOffsets");
  for (int64_t i = 0; i < rows; ++i) {
    int64_t group = 0;
    while (!offsets.empty() && offsets[static_cast<size_t>(group) + 1] <= i) ++group;
    const int64_t block = group * slots + slot;
    for (int64_t j = 0; j < dOut; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < dIn; ++k) sum += r.in(kX)[i * dIn + k] * r.in(kWeight)[(block * dIn + k) * dOut + j];
      sum *= r.call.number("alpha");
      if (r.has(kBias)) sum += r.in(kBias)[block * dOut + j];
      if (r.call.hasOut(kPreActivation)) r.out(kPreActivation)[i * dOut + j] = sum;
      r.out(kY)[i * dOut + j] =
          activationReference(activationOf(r.call), sum) + (r.has(kResidual) ? r.in(kResidual)[i * dOut + j] : 0.0);
    }
  }
}

}  // namespace

OpReference reference_grouped_linear() {
  OpReference reference;
  reference.forward = forward;
  const std::string gelu = "gelu", tanh = "tanh";
  const auto none = std::nullopt;
  const auto offsets = [](IntList list) { return std::pair<std::string, Attribute>("rowOffsets", std::move(list)); };
  const auto slot = [](int64_t index) { return std::pair<std::string, Attribute>("slot", index); };
  reference.cases = {
      {"one row per group, residual only",
       {{{{4, 8}}}, {{{4, 2, 8, 24}, {}, 0.3}}, none, {{{4, 24}}}},
       {offsets({0, 1, 2, 3, 4}), slot(1)}},
      {"one group without offsets", {{{{5, 17}}}, {{{1, 1, 17, 13}, {}, 0.3}}, none, none}},
      {"groups of 3, 0, 1 and 5 rows, everything on",
       {{{{9, 11}}}, {{{4, 3, 11, 7}, {}, 0.3}}, {{{4, 3, 7}}}, {{{9, 7}}}},
       {offsets({0, 3, 3, 4, 9}), slot(1), {"activation", gelu}, {"alpha", 0.5}}},
      {"bias and tanh",
       {{{{6, 5}}}, {{{2, 1, 5, 3}}}, {{{2, 1, 3}}}, none},
       {offsets({0, 4, 6}), {"activation", tanh}}},
      {"several tiles of rows and columns, everything on",
       {{{{150, 72}}}, {{{3, 2, 72, 136}, {}, 0.1}}, {{{3, 2, 136}}}, {{{150, 136}}}},
       {offsets({0, 70, 70, 150}), slot(1), {"activation", gelu}, {"alpha", 0.5}}},
      {"biases of ten thousand rows that pull one way",
       {{{{20000, 1}, {}, 0.1, 1.0}}, {{{2, 1, 1, 3}}}, {{{2, 1, 3}}}, none},
       {offsets({0, 10000, 20000})},
       false,
       {},
       1.0,
       5e-6},
      {"no rows", {{{{0, 8}}}, {{{2, 2, 8, 3}}}, {{{2, 2, 3}}}, {{{0, 3}}}}, {offsets({0, 0, 0})}},
      {"a slot that does not exist is refused",
       {{{{2, 8}}}, {{{1, 2, 8, 3}}}, none, none},
       {slot(2)},
       false,
       "INVALID_ARGUMENT"},
      {"offsets of another batch are refused",
       {{{{2, 8}}}, {{{2, 1, 8, 3}}}, none, none},
       {offsets({0, 1, 3})},
       false,
       "INVALID_SHAPE"},
      {"T5-base adapters down, 8 tasks",
       {{{{4096, 768}}}, {{{8, 1, 768, 512}, {}, 0.03}}, {{{8, 1, 512}}}, none},
       {offsets({0, 512, 1024, 1536, 2048, 2560, 3072, 3584, 4096}), {"activation", gelu}},
       true},
      {"T5-base adapters up, one task",
       {{{{4096, 512}}}, {{{1, 1, 512, 768}, {}, 0.03}}, {{{1, 1, 768}}}, {{{4096, 768}}}},
       {},
       true},
      {"one decoded row", {{{{1, 768}}}, {{{1, 1, 768, 512}, {}, 0.03}}, {{{1, 1, 512}}}, none}, {}, true},
  };
  return reference;
}

}  // namespace hint
