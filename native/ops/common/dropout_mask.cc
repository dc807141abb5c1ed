#include "native/ops/common/dropout_mask.h"

#include "native/runtime/parallel.h"

namespace hint {
namespace {

/// Four units per counter, `quads` counters.
HINT_CLONES void fillQuads(uint64_t seed, uint32_t site, uint32_t group, uint32_t threshold, float kept, int64_t quads,
                           float* mask) {
  for (int64_t quad = 0; quad < quads; ++quad) {
    const Philox random = Philox::at(seed, (uint64_t{group} << 32) | static_cast<uint32_t>(quad), site);
    for (int lane = 0; lane < 4; ++lane) mask[4 * quad + lane] = random.word[lane] >= threshold ? kept : 0.0f;
  }
}

}  // namespace

void fillMask(const Dropout& dropout, uint32_t group, int64_t count, float* mask) {
  const int64_t quads = count / 4;
  fillQuads(dropout.seed, dropout.site, group, dropout.threshold(), 1.0f / (1.0f - dropout.rate), quads, mask);
  for (int64_t unit = 4 * quads; unit < count; ++unit) mask[unit] = dropout.scale(group, static_cast<uint32_t>(unit));
}

void checkSequenceDropout(const Call& call, int64_t rows) {
  call.dropout();
  if (!call.list("seqOffsets").empty()) checkOffsets(call, "seqOffsets", rows);
}

std::vector<double> maskReference(const Call& call, int64_t rows, int64_t units) {
  std::vector<double> mask(static_cast<size_t>(rows * units), 1.0);
  const Dropout dropout = call.dropout();
  const IntList& offsets = call.list("seqOffsets");
  if (!dropout.active()) return mask;
  const double kept = 1 / (1 - static_cast<double>(dropout.rate));
  std::vector<float> drawn(static_cast<size_t>(units));
  int64_t group = 0;
  for (int64_t row = 0; row < rows; ++row) {
    if (offsets.empty()) group = row;
    while (!offsets.empty() && offsets[static_cast<size_t>(group) + 1] <= row) ++group;
    dropout.fill(static_cast<uint32_t>(group), units, drawn.data());
    for (int64_t unit = 0; unit < units; ++unit)
      mask[static_cast<size_t>(row * units + unit)] = drawn[static_cast<size_t>(unit)] == 0.0f ? 0 : kept;
  }
  return mask;
}

}  // namespace hint
