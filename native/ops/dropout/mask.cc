#include "native/ops/dropout/mask.h"

#include "native/runtime/parallel.h"

namespace hint {
namespace {

/// Four units per counter, `quads` counters. The rounds stay a fixed inner loop so that lanes are counters.
HINT_CLONES void fillQuads(uint64_t seed, uint32_t site, uint32_t group, uint32_t threshold, float kept, int64_t quads,
                           float* mask) {
  for (int64_t quad = 0; quad < quads; ++quad) {
    uint32_t c0 = static_cast<uint32_t>(quad), c1 = group, c2 = site, c3 = 0;
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * c0, p1 = uint64_t{0xCD9E8D57u} * c2;
      const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0, n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
      c1 = static_cast<uint32_t>(p1);
      c3 = static_cast<uint32_t>(p0);
      c0 = n0;
      c2 = n2;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    mask[4 * quad] = c0 >= threshold ? kept : 0.0f;
    mask[4 * quad + 1] = c1 >= threshold ? kept : 0.0f;
    mask[4 * quad + 2] = c2 >= threshold ? kept : 0.0f;
    mask[4 * quad + 3] = c3 >= threshold ? kept : 0.0f;
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
