#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "native/core/call.h"
#include "native/core/philox.h"

/// Dropout over rows whose units are dropped alike within a sequence, for dropout, gated_activation and rms_norm.
namespace hint {

/// Writes the same factors as Dropout::fill, vectorised.
void fillMask(const Dropout& dropout, uint32_t group, int64_t count, float* mask);

/// For resolve: checks the dropout attributes and, unless it is empty, `seqOffsets` against `rows`.
void checkSequenceDropout(const Call& call, int64_t rows);

/// Calls body(firstRow, endRow, mask) for the runs of rows in [begin, end) that share a mask. A group is a sequence of
/// `offsets`, or a row when that is empty. `mask` has room for `units` floats; body gets nullptr when nothing drops.
template <typename Body>
void forEachMaskedRun(const Dropout& dropout, const IntList& offsets, int64_t units, int64_t begin, int64_t end,
                      float* mask, const Body& body) {
  if (begin >= end) return;
  if (!dropout.active()) {
    body(begin, end, static_cast<const float*>(nullptr));
    return;
  }
  auto next = std::upper_bound(offsets.begin(), offsets.end(), begin);
  for (int64_t row = begin; row < end;) {
    int64_t group = row, last = row + 1;
    if (!offsets.empty()) {
      while (*next <= row) ++next;
      group = next - offsets.begin() - 1;
      last = std::min<int64_t>(*next, end);
    }
    fillMask(dropout, static_cast<uint32_t>(group), units, mask);
    body(row, last, static_cast<const float*>(mask));
    row = last;
  }
}

/// For references: the factor of every unit of every row, all ones when nothing drops.
std::vector<double> maskReference(const Call& call, int64_t rows, int64_t units);

}  // namespace hint
