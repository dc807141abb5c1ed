#include "native/ops/common/reference.h"

#include "native/ops/common/dropout_mask.h"
#include "native/ops/dropout/dropout.h"

namespace hint {

OpReference reference_dropout() {
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    const auto mask = maskReference(r.call, r.call.dim("rows"), r.call.dim("d"));
    for (size_t i = 0; i < mask.size(); ++i) r.outputs[dropout::kY][i] = r.inputs[dropout::kX][i] * mask[i];
  };
  using Attributes = std::vector<std::pair<std::string, Attribute>>;
  const Attributes perRow = {{"dropoutRate", 0.3}, {"dropoutSeed", 9007199254740991.0}, {"dropoutSite", int64_t{7}}};
  const auto withOffsets = [&](IntList offsets) {
    Attributes attributes = perRow;
    attributes.emplace_back("seqOffsets", std::move(offsets));
    return attributes;
  };
  reference.cases = {
      {"a mask per row", {{{{5, 17}}}}, perRow},
      {"a mask per sequence, some of them empty", {{{{9, 33}}}}, withOffsets({0, 0, 1, 6, 6, 9, 9})},
      {"a mask per sequence, eight units at a time", {{{{9, 40}}}}, withOffsets({0, 0, 1, 6, 6, 9, 9})},
      {"a mask per row, rows of many eights", {{{{3, 4112}}}}, perRow},
      {"one unit", {{{{7, 1}}}}, perRow},
      {"split between threads inside a sequence", {{{{80, 1031}}}}, withOffsets({0, 3, 70, 80})},
      {"rate zero", {{{{3, 8}}}}, {{"seqOffsets", IntList{0, 3}}}},
      {"no rows", {{{{0, 8}}}}, perRow},
      {"rate one is refused", {{{{2, 8}}}}, {{"dropoutRate", 1.0}}, false, "INVALID_ARGUMENT"},
      {"offsets that end early are refused", {{{{4, 8}}}}, {{"seqOffsets", IntList{0, 3}}}, false, "INVALID_SHAPE"},
      {"T5-base rows", {{{{4096, 768}}}}, perRow, true},
      {"T5-base sequences", {{{{4096, 768}}}}, withOffsets({0, 512, 1024, 1536, 2048, 2560, 3072, 3584, 4096}), true},
  };
  return reference;
}

}  // namespace hint
