#include "native/ops/attention/attention.h"

#include <cmath>

#include "native/core/error.h"
#include "native/ops/attention/geometry.h"
#include "native/ops/common/gpu_work.h"
#include "native/ops/common/relative_bucket.h"

namespace hint {
namespace attention {
namespace {

void requirePair(const Call& call, int key, int value) {
  if (call.has(key) != call.has(value))
    fail("INVALID_ARGUMENT", call.describe(), ": ", call.spec->inputs[static_cast<size_t>(key)].name, " and ",
         call.spec->inputs[static_cast<size_t>(value)].name, " come together; pass both or neither.");
}

void checkTasks(const Call& call, int64_t sequences) {
  requirePair(call, kPrefixKey, kPrefixValue);
  requirePair(call, kSharedKey, kSharedValue);
  int64_t tasks = -1;
  if (call.has(kPrefixKey)) {
    tasks = call.dim("tasks");
    const int64_t slot = call.integer("slot"), slots = call.dim("slots");
    if (slot < 0 || slot >= slots)
      fail("INVALID_ARGUMENT", call.describe(), ": slot is ", slot, "; the prefix has slots 0 to ", slots - 1, ".");
  }
  if (call.has(kSharedKey)) {
    const IntList& offsets = call.list("sharedOffsets");
    if (!offsets.empty()) checkOffsets(call, "sharedOffsets", call.dim("sharedRows"));
    const int64_t segments = offsets.empty() ? 1 : static_cast<int64_t>(offsets.size()) - 1;
    if (tasks >= 0 && segments != tasks)
      fail("INVALID_SHAPE", call.describe(), ": the prefix is of ", tasks, " tasks, but sharedOffsets describes ",
           segments, "; they must agree.");
    tasks = segments;
  }
  const IntList& taskIndex = call.list("taskIndex");
  if (!taskIndex.empty() && static_cast<int64_t>(taskIndex.size()) != sequences)
    fail("INVALID_SHAPE", call.describe(), ": taskIndex has ", taskIndex.size(), " entries for ", sequences,
         " sequences; give one per sequence, or none.");
  if (tasks < 0) return;
  if (tasks == 0 && sequences > 0)
    fail("INVALID_SHAPE", call.describe(), ": there are ", sequences, " sequences but no task for them to use.");
  for (size_t b = 0; b < taskIndex.size(); ++b)
    if (taskIndex[b] < 0 || taskIndex[b] >= tasks)
      fail("INVALID_ARGUMENT", call.describe(), ": taskIndex[", b, "] is ", taskIndex[b], "; there are ", tasks,
           " tasks.");
}

void resolve(Call& call) {
  const int64_t heads = call.integer("numHeads"), width = call.dim("width");
  if (heads < 1 || width < 1 || width % heads != 0)
    fail("INVALID_SHAPE", call.describe(), ": numHeads is ", heads, ", which must divide the width of ", width, ".");
  call.setDim("numHeads", heads);
  checkOffsets(call, "kOffsets", call.dim("kRows"));
  const int64_t sequences = static_cast<int64_t>(call.list("kOffsets").size()) - 1;
  const bool sharedQueries = call.integer("sharedQueries") != 0;
  const IntList& qOffsets = call.list("qOffsets");
  if (sharedQueries) {
    if (!qOffsets.empty())
      fail("INVALID_ARGUMENT", call.describe(), ": with sharedQueries every sequence uses all rows of q; qOffsets has ",
           qOffsets.size(), " entries and must have none.");
  } else {
    checkOffsets(call, "qOffsets", call.dim("qRows"));
    if (static_cast<int64_t>(qOffsets.size()) - 1 != sequences)
      fail("INVALID_SHAPE", call.describe(), ": qOffsets describes ", qOffsets.size() - 1, " sequences, kOffsets ",
           sequences, "; they must agree.");
  }
  call.setDim("oRows", sharedQueries ? checkedProduct(sequences, call.dim("qRows")) : call.dim("qRows"));
  checkTasks(call, sequences);
  if (call.has(kBias)) relativeBuckets(call.dim("buckets"), call.integer("maxDistance"), call.integer("causal") != 0);
  const Geometry geometry(call);
  for (size_t b = 0; b < geometry.sequences.size(); ++b) {
    const Sequence& s = geometry.sequences[b];
    if (s.queries > 0 && s.keys == 0 && geometry.contextKeys(s.task) == 0)
      fail("INVALID_SHAPE", call.describe(), ": sequence ", b, " has ", s.queries,
           " queries but no key that they could see; give it a key, a prefix or a shared segment.");
  }
}

/// Forward: one kernel. With one query per sequence, a second one may read segments that many sequences share; the
/// device's size decides, and it is not counted. Backward: one kernel for delta, one for gradients of queries, one for
/// gradients of keys, and one that adds up the partial sums of keys that sequences share.
GpuWork gpuWork(const Call& call) {
  constexpr int64_t kMultiprocessors = 132;  // of an H200
  const int64_t oRows = call.dim("oRows");
  if (!call.backward) return computing(oRows);
  if (!call.gradOutputs[kO]) {
    GpuWork work{0, 0};
    for (size_t i = 0; i < call.gradInputs.size(); ++i) work = work + clearing(call, static_cast<int>(i));
    return work;
  }
  const Geometry g(call);
  const double keysAndValues = static_cast<double>(call.in(kK).bytes() + call.in(kV).bytes());
  const double rows = static_cast<double>(oRows) * static_cast<double>(g.width);
  const double queries = 2 * static_cast<double>(call.gradOutputs[kO].bytes());
  GpuWork work = computing(oRows);
  const bool bias = wantsGradient(call, kBias);
  if (wantsGradient(call, kQ) || bias) {
    const bool divided = wantsGradient(call, kQ) && g.sharedQueries;
    const auto run = static_cast<double>(bias ? 1 : sequencesPerRun(g, kMultiprocessors));
    work = work + GpuWork{computing(oRows).launches + divided + bias,
                          queries + keysAndValues + (divided ? 2 * bytesOf(rows / run, DType::f32) : 0)};
  }
  if (wantsGradient(call, kK) || wantsGradient(call, kV))
    work = work + GpuWork{g.maxKeys > 0 ? 1.0 : 0.0, queries + keysAndValues};
  const int prefixes = wantsGradient(call, kPrefixKey) + wantsGradient(call, kPrefixValue),
            shared = wantsGradient(call, kSharedKey) + wantsGradient(call, kSharedValue);
  if (prefixes + shared == 0) return work;
  constexpr double kTile = 64;
  double tiles = 0;
  for (int64_t task = 0; task < g.tasks; ++task)
    tiles +=
        std::ceil(static_cast<double>(g.prefix) / kTile) + std::ceil(static_cast<double>(g.sharedKeys(task)) / kTile);
  // Keys that no query sees take no kernel.
  bool isSeen = false;
  for (const Sequence& s : g.sequences) isSeen |= s.queries > 0 && g.contextKeys(s.task) > 0;
  const double launches = (isSeen ? 1.0 : 0.0) + (tiles > 0 ? prefixes + shared : 0);
  const int kinds = (wantsGradient(call, kPrefixKey) || wantsGradient(call, kSharedKey)) +
                    (wantsGradient(call, kPrefixValue) || wantsGradient(call, kSharedValue));
  return work + clearing(call, kPrefixKey) + clearing(call, kPrefixValue) +
         GpuWork{launches, queries + 2 * kinds * bytesOf(tiles * kTile * g.width, DType::f32)};
}

}  // namespace
}  // namespace attention

OpSpec declare_attention() {
  using namespace attention;
  OpSpec op;
  op.name = "attention";
  op.summary = "o = dropout(softmax(q [prefix | shared | k]^T + relative bias)) [prefix | shared | v], ragged";
  constexpr unsigned given = kDifferentiable | kSaved, optional = given | kOptional,
                     parameter = optional | kWideGradient;
  op.inputs = {{"q", "qRows width", given, kFloating},
               {"k", "kRows width", given, like("q")},
               {"v", "kRows width", given, like("q")},
               {"prefixKey", "tasks slots prefix width", parameter, like("q")},
               {"prefixValue", "tasks slots prefix width", parameter, like("q")},
               {"sharedKey", "sharedRows width", optional, like("q")},
               {"sharedValue", "sharedRows width", optional, like("q")},
               {"bias", "buckets numHeads", parameter, like("q")}};
  op.outputs = {
      {"o", "oRows width", given, like("q")},
      {"logSumExp", "oRows numHeads", kSaved, DType::f32, [](const Call& c) { return c.integer("training") != 0; }}};
  op.attributes = withDropout({{"numHeads", int64_t{0}, true},
                               {"qOffsets", IntList{}},
                               {"kOffsets", IntList{}, true},
                               {"taskIndex", IntList{}},
                               {"sharedOffsets", IntList{}},
                               {"slot", int64_t{0}},
                               {"causal", int64_t{0}},
                               {"sharedQueries", int64_t{0}},
                               {"maxDistance", int64_t{128}},
                               {"training", int64_t{1}}});
  op.cpu = {forward, backward, ReadsBf16::forward};
  op.resolve = resolve;
  op.flops = [](const Call& call) { return 4.0 * static_cast<double>(call.dim("width")) * Geometry(call).pairs(); };
  op.gpuWork = gpuWork;
  return op;
}

}  // namespace hint
