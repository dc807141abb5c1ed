#pragma once

#include <cstdint>
#include <vector>

#include "native/core/call.h"

namespace hint::attention {

/// One sequence of a call: its rows, and the task whose prefix and shared segment it sees.
struct Sequence {
  int64_t qBegin, queries;  ///< rows of q
  int64_t oBegin;           ///< first row of o; differs from qBegin only with sharedQueries
  int64_t kBegin, keys;     ///< rows of k and v
  int64_t task;

  /// Own keys that query i sees.
  int64_t visible(int64_t i, bool causal) const { return causal && i + 1 < keys ? i + 1 : keys; }
};

/// Sizes of a call, from its attributes.
struct Geometry {
  explicit Geometry(const Call& call);

  int64_t heads, headDim, width, tasks;
  bool causal, sharedQueries;
  int64_t prefix = 0, prefixStride = 0, prefixBase = 0;  ///< rows; rows per task; first row of the slot
  std::vector<int64_t> sharedBegin;                      ///< tasks + 1 rows, all 0 without a shared segment
  std::vector<Sequence> sequences;
  int64_t maxQueries = 0, maxKeys = 0, maxShared = 0;

  int64_t prefixRow(int64_t task) const { return task * prefixStride + prefixBase; }
  int64_t sharedKeys(int64_t task) const {
    return sharedBegin[static_cast<size_t>(task) + 1] - sharedBegin[static_cast<size_t>(task)];
  }
  int64_t contextKeys(int64_t task) const { return prefix + sharedKeys(task); }
  /// Pairs of a query and a key it sees, over all sequences.
  double pairs() const;
};

/// With shared queries, the number of sequences over which one block of a GPU sums the gradient of its queries: as
/// many, up to 16, as leave eight blocks for each multiprocessor. Fewer runs mean fewer partial sums in memory.
int64_t sequencesPerRun(const Geometry& geometry, int64_t multiprocessors);

/// Queries [begin, end) of one sequence.
struct Piece {
  int64_t sequence, begin, end;
};

/// One unit of work: the pieces of tasks [firstTask, endTask), sorted by task, for some heads. Bundles with the same
/// tasks but another `part` share the gradients of those tasks' prefixes and shared segments.
struct Bundle {
  int64_t part, firstTask, endTask;
  std::vector<Piece> pieces;
};

enum class Split {
  queries,    ///< at any query
  sequences,  ///< at sequences, so that a sequence's keys belong to one bundle
  rows,       ///< by rows of q over all sequences, so that a query row belongs to one bundle (sharedQueries backward)
};

/// The units of a call: every bundle for every group of heads. Depends only on the geometry and the thread count, so
/// sums over parts are the same in every run.
struct Schedule {
  Schedule(const Geometry& geometry, Split split, int threads);

  int64_t parts = 1;       ///< bundles per task
  int64_t headGroups = 1;  ///< heads [heads * group / headGroups, heads * (group + 1) / headGroups) go together
  std::vector<Bundle> bundles;

  int64_t units() const { return static_cast<int64_t>(bundles.size()) * headGroups; }
};

}  // namespace hint::attention
