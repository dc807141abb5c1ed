#include "native/ops/attention/cuda/attention.cuh"
#include "native/ops/attention/cuda/rows.cuh"

namespace hint::attention::tiles {
namespace {

using rows::RowArguments;

template <typename T>
void attend(const Call& call, const Geometry& geometry) {
  RowArguments<T> g = {};
  g.q = input<T>(call, kQ);
  g.prefixKey = input<T>(call, kPrefixKey);
  g.prefixValue = input<T>(call, kPrefixValue);
  g.sharedKey = input<T>(call, kSharedKey);
  g.sharedValue = input<T>(call, kSharedValue);
  g.contextKey = input<T>(call, kK);
  g.contextValue = input<T>(call, kV);
  g.width = geometry.width;
  g.prefix = geometry.prefix;
  g.slots = call.has(kPrefixKey) ? call.dim("slots") : 0;
  g.slot = call.integer("slot");
  g.heads = static_cast<int>(geometry.heads);
  g.dim = static_cast<int>(geometry.headDim);
  g.o = output<T>(call, kO);
  g.logSumExp = output<float>(call, kLogSumExp);
  // Each sequence that has a query becomes a row; its own keys become the row's context.
  IntList tasks, sequences;
  for (size_t b = 0; b < geometry.sequences.size(); ++b) {
    if (geometry.sequences[b].queries == 0) continue;
    tasks.push_back(static_cast<int32_t>(geometry.sequences[b].task));
    sequences.push_back(static_cast<int32_t>(b));
  }
  rows::attendRows(call, g, {call.dim("oRows"), tasks, call.list("sharedOffsets"), call.list("kOffsets"), sequences});
}

}  // namespace

bool attendDecoding(const Call& call) {
  const Geometry geometry(call);
  if (geometry.maxQueries > 1 || geometry.sharedQueries || geometry.causal || call.has(kBias) ||
      call.dropout().active())
    return false;
  byType(call.in(kQ).dtype, [&](auto type) { attend<decltype(type)>(call, geometry); });
  return true;
}

}  // namespace hint::attention::tiles
