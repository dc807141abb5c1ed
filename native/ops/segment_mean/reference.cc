#include "native/ops/common/reference.h"

#include "native/ops/segment_mean/segment_mean.h"

namespace hint {

OpReference reference_segment_mean() {
  using namespace segment_mean;
  OpReference reference;
  reference.forward = [](ReferenceCall& r) {
    const int64_t d = r.call.dim("d");
    const IntList& offsets = r.call.list("offsets");
    for (size_t s = 0; s + 1 < offsets.size(); ++s)
      for (int64_t row = offsets[s]; row < offsets[s + 1]; ++row)
        for (int64_t i = 0; i < d; ++i)
          r.out(kY)[static_cast<int64_t>(s) * d + i] += r.in(kX)[row * d + i] / (offsets[s + 1] - offsets[s]);
  };
  reference.cases = {
      {"ragged segments, some of one row", {{{{9, 17}}}}, {{"offsets", IntList{0, 1, 6, 7, 9}}}},
      {"wider than a block, split between threads", {{{{120, 771}}}}, {{"offsets", IntList{0, 77, 78, 120}}}},
      {"long segments of a shifted mean", {{{{3000, 3}, {}, 1.0, 5.0}}}, {{"offsets", IntList{0, 3000}}}},
      {"no segments", {{{{0, 8}}}}, {{"offsets", IntList{0}}}},
      {"an empty segment is refused", {{{{4, 8}}}}, {{"offsets", IntList{0, 2, 2, 4}}}, false, "INVALID_SHAPE"},
      {"offsets that decrease are refused", {{{{4, 8}}}}, {{"offsets", IntList{0, 3, 2, 4}}}, false, "INVALID_SHAPE"},
      {"T5-base instructions", {{{{4096, 768}}}}, {{"offsets", IntList{0, 700, 1024, 2048, 3000, 4096}}}, true},
  };
  return reference;
}

}  // namespace hint
