#include "native/ops/attention/geometry.h"

#include <algorithm>

#include "native/ops/attention/attention.h"

namespace hint::attention {

Geometry::Geometry(const Call& call)
    : heads(call.integer("numHeads")),
      headDim(call.dim("width") / heads),
      width(call.dim("width")),
      tasks(1),
      causal(call.integer("causal") != 0),
      sharedQueries(call.integer("sharedQueries") != 0) {
  const IntList &q = call.list("qOffsets"), &k = call.list("kOffsets"), &taskIndex = call.list("taskIndex");
  const bool hasPrefix = call.has(kPrefixKey), hasShared = call.has(kSharedKey);
  if (hasPrefix) {
    tasks = call.dim("tasks");
    prefix = call.dim("prefix");
    prefixStride = call.dim("slots") * prefix;
    prefixBase = call.integer("slot") * prefix;
  }
  if (hasShared) {
    const IntList& offsets = call.list("sharedOffsets");
    sharedBegin.assign(offsets.begin(), offsets.end());
    if (offsets.empty()) sharedBegin = {0, call.dim("sharedRows")};
    tasks = static_cast<int64_t>(sharedBegin.size()) - 1;
  } else {
    sharedBegin.assign(static_cast<size_t>(tasks) + 1, 0);
  }
  for (int64_t task = 0; task < tasks; ++task) maxShared = std::max(maxShared, sharedKeys(task));
  const int64_t qRows = call.dim("qRows");
  sequences.reserve(k.size());
  for (size_t b = 0; b + 1 < k.size(); ++b) {
    Sequence s;
    s.qBegin = sharedQueries ? 0 : q[b];
    s.queries = sharedQueries ? qRows : q[b + 1] - q[b];
    s.oBegin = sharedQueries ? static_cast<int64_t>(b) * qRows : s.qBegin;
    s.kBegin = k[b];
    s.keys = k[b + 1] - k[b];
    s.task = (hasPrefix || hasShared) && !taskIndex.empty() ? taskIndex[b] : 0;
    sequences.push_back(s);
    maxQueries = std::max(maxQueries, s.queries);
    maxKeys = std::max(maxKeys, s.keys);
  }
}

double Geometry::pairs() const {
  double total = 0;
  for (const Sequence& s : sequences) {
    const auto queries = static_cast<double>(s.queries), keys = static_cast<double>(s.keys);
    total += queries * static_cast<double>(contextKeys(s.task));
    const double growing = std::min(queries, keys);
    total += causal ? growing * (growing + 1) / 2 + (queries - growing) * keys : queries * keys;
  }
  return total;
}

int64_t sequencesPerRun(const Geometry& geometry, int64_t multiprocessors) {
  constexpr int64_t kTile = 64, kBlocks = 8, kMost = 16;
  const int64_t tiles = (geometry.maxQueries + kTile - 1) / kTile;
  const auto sequences = static_cast<int64_t>(geometry.sequences.size());
  return std::clamp<int64_t>(tiles * geometry.heads * sequences / (kBlocks * multiprocessors), 1, kMost);
}

Schedule::Schedule(const Geometry& geometry, Split split, int threads) {
  if (geometry.tasks == 0) return;
  std::vector<std::vector<int64_t>> byTask(static_cast<size_t>(geometry.tasks));
  int64_t queries = 0;
  for (size_t b = 0; b < geometry.sequences.size(); ++b) {
    byTask[static_cast<size_t>(geometry.sequences[b].task)].push_back(static_cast<int64_t>(b));
    queries += geometry.sequences[b].queries;
  }
  // Successive heads are contiguous in memory, so a unit has as many heads as leave work for every thread. A part costs
  // a partial sum of all shared gradients in the backward pass, and only another packing in the forward pass.
  constexpr int64_t unitsPerThread = 4, backwardGroups = 4, queriesPerPart = 256;
  const int64_t groups = split == Split::rows ? 1 : geometry.tasks;
  const int64_t wanted = threads > 1 ? unitsPerThread * threads : 1;
  const auto share = [&](int64_t among) { return (wanted + among - 1) / among; };
  if (split == Split::queries) {
    parts = std::clamp<int64_t>(queries / queriesPerPart / groups, 1, share(groups));
    headGroups = std::min(geometry.heads, share(groups * parts));
  } else {
    headGroups = std::min({geometry.heads, share(groups), backwardGroups});
    parts = share(groups * headGroups);
  }
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t firstTask = group, endTask = split == Split::rows ? geometry.tasks : group + 1;
    int64_t rows = 0;
    for (int64_t b : byTask[static_cast<size_t>(group)]) rows += geometry.sequences[static_cast<size_t>(b)].queries;
    if (split == Split::rows) rows = geometry.maxQueries;
    for (int64_t part = 0; part < parts; ++part) {
      Bundle bundle{part, firstTask, endTask, {}};
      const int64_t from = rows * part / parts, to = rows * (part + 1) / parts;
      int64_t position = 0;
      for (int64_t task = firstTask; task < endTask; ++task)
        for (int64_t b : byTask[static_cast<size_t>(task)]) {
          const int64_t count = geometry.sequences[static_cast<size_t>(b)].queries;
          if (split == Split::sequences) {
            // A sequence belongs to the part that its middle is in; empty sequences at the end belong to the last part.
            const int64_t middle = position + count / 2;
            if (middle >= from && (middle < to || part == parts - 1)) bundle.pieces.push_back({b, 0, count});
          } else {
            const int64_t start = split == Split::rows ? 0 : position;
            const int64_t begin = std::clamp<int64_t>(from - start, 0, count);
            const int64_t end = std::clamp<int64_t>(to - start, 0, count);
            if (begin < end || split == Split::rows) bundle.pieces.push_back({b, begin, end});
          }
          position += count;
        }
      bundles.push_back(std::move(bundle));
    }
  }
}

}  // namespace hint::attention
