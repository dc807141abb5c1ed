#include <algorithm>

#include "native/ops/attention/cuda/attention.cuh"

namespace hint::attention::tiles {

Plan::Plan(const Call& call, int tile) : geometry(call) {
  const Geometry& g = geometry;
  IntList sequences, tiles, shared(g.sharedBegin.begin(), g.sharedBegin.end());
  const auto count = static_cast<int32_t>(g.sequences.size());
  for (const Sequence& s : g.sequences)
    for (int64_t field : {s.qBegin, s.queries, s.oBegin, s.kBegin, s.keys, s.task})
      sequences.push_back(static_cast<int32_t>(field));

  // The tiles of a task follow one another, and so do those of a sequence.
  IntList order(static_cast<size_t>(count));
  for (int32_t b = 0; b < count; ++b) order[static_cast<size_t>(b)] = b;
  const auto taskOf = [&](int32_t b) { return g.sequences[static_cast<size_t>(b)].task; };
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return taskOf(a) < taskOf(b); });
  IntList taskBegin(static_cast<size_t>(g.tasks) + 1, 0);
  for (int32_t b : order) {
    const Sequence& s = g.sequences[static_cast<size_t>(b)];
    const int32_t begin = queryTiles;
    for (int32_t first = 0; first < s.queries; first += tile) {
      tiles.insert(tiles.end(), {b, first});
      ++queryTiles;
    }
    for (int32_t first = 0; first < s.keys; first += tile)
      ownItems.insert(ownItems.end(), {kOwnSegment, b, first, begin, queryTiles});
    taskBegin[static_cast<size_t>(s.task) + 1] = queryTiles;
  }
  for (size_t task = 1; task < taskBegin.size(); ++task)
    taskBegin[task] = std::max(taskBegin[task], taskBegin[task - 1]);

  const int32_t tilesPerPart = kQueriesPerPart / tile;
  for (int32_t task = 0; task < g.tasks; ++task)
    for (int32_t segment : {kPrefixSegment, kSharedSegment}) {
      const int64_t keys = segment == kPrefixSegment ? g.prefix : g.sharedKeys(task);
      const int32_t from = taskBegin[static_cast<size_t>(task)], to = taskBegin[static_cast<size_t>(task) + 1];
      for (int32_t first = 0; first < keys; first += tile) {
        const int32_t begin = contextCount();
        for (int32_t part = from; part < to; part += tilesPerPart)
          contextItems.insert(contextItems.end(), {segment, task, first, part, std::min(part + tilesPerPart, to)});
        contextTiles.insert(contextTiles.end(), {segment, task, first, begin, contextCount()});
      }
    }

  Context& context = Context::current();
  shape.sequences = reinterpret_cast<const DeviceSequence*>(context.table(sequences));
  shape.sharedBegin = context.table(shared);
  shape.queryTiles = reinterpret_cast<const QueryTile*>(context.table(tiles));
  if (call.has(kBias)) shape.buckets = Buckets(call.dim("buckets"), call.integer("maxDistance"), g.causal);
  shape.mask = Mask(call.dropout());
  shape.width = g.width;
  shape.prefixStride = g.prefixStride;
  shape.prefixBase = g.prefixBase;
  shape.heads = static_cast<int>(g.heads);
  shape.dim = static_cast<int>(g.headDim);
  shape.prefix = static_cast<int>(g.prefix);
  shape.tile = tile;
  shape.causal = g.causal;
}

}  // namespace hint::attention::tiles
