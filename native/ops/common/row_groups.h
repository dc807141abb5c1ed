#pragma once

#include "native/core/call.h"

/// Shared by ops whose weights [groups, slots, ...] belong to the group of a row: the attributes `rowOffsets` (empty:
/// one group of all rows) and `slot`.
namespace hint {

struct RowGroups {
  int64_t rows, groups, slots, slot;
  const IntList* offsets;

  explicit RowGroups(const Call& call)
      : rows(call.dim("rows")),
        groups(call.dim("groups")),
        slots(call.dim("slots")),
        slot(call.integer("slot")),
        offsets(&call.list("rowOffsets")) {}

  int64_t begin(int64_t group) const { return offsets->empty() ? 0 : (*offsets)[static_cast<size_t>(group)]; }
  int64_t end(int64_t group) const { return offsets->empty() ? rows : (*offsets)[static_cast<size_t>(group) + 1]; }
  /// Index of the group's block of `slot` in [groups, slots, ...].
  int64_t block(int64_t group) const { return group * slots + slot; }
  /// Rows of the largest group.
  int64_t largest() const;
};

/// For resolve: throws INVALID_ARGUMENT when `weight`, which has the slots, has no such slot, INVALID_SHAPE when the
/// offsets are not those of its groups and of the rows.
void checkRowGroups(const Call& call, const char* weight);

}  // namespace hint
