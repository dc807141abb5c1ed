#include "native/ops/common/row_groups.h"

#include <algorithm>

#include "native/core/error.h"

namespace hint {

int64_t RowGroups::largest() const {
  int64_t most = 0;
  for (int64_t group = 0; group < groups; ++group) most = std::max(most, end(group) - begin(group));
  return most;
}

void checkRowGroups(const Call& call, const char* weight) {
  const RowGroups of(call);
  if (of.slot < 0 || of.slot >= of.slots)
    fail("INVALID_ARGUMENT", call.describe(), ": slot ", of.slot, " is not below the ", of.slots, " slots of ", weight,
         ".");
  if (of.offsets->empty() && of.groups == 1) return;
  if (static_cast<int64_t>(of.offsets->size()) != of.groups + 1)
    fail("INVALID_SHAPE", call.describe(), ": rowOffsets must have ", of.groups + 1,
         " entries, one more than groups; it has ", of.offsets->size(), ".");
  checkOffsets(call, "rowOffsets", of.rows);
}

}  // namespace hint
