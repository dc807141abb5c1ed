#include "native/ops/decode_attention/decode_attention.h"

#include "native/ops/relative_bucket.h"
#include "native/runtime/error.h"

namespace hint {
namespace decode_attention {
namespace {

void resolve(Call& call) {
  const int64_t heads = call.integer("numHeads"), width = call.dim("width"), rows = call.dim("rows");
  if (heads < 1 || width % heads != 0)
    fail("INVALID_SHAPE", call.describe(), ": numHeads is ", heads, ", which must divide the width of ", width, ".");
  call.setDim("numHeads", heads);
  if (call.has(kBias)) relativeBuckets(call.dim("buckets"), call.integer("maxDistance"), true);
  if (call.has(kPrefixKey) != call.has(kPrefixValue))
    fail("INVALID_ARGUMENT", call.describe(), ": prefixKey and prefixValue come together; pass both or neither.");
  const IntList& taskIndex = call.list("taskIndex");
  if (!taskIndex.empty() && static_cast<int64_t>(taskIndex.size()) != rows)
    fail("INVALID_SHAPE", call.describe(), ": taskIndex has ", taskIndex.size(), " entries for ", rows,
         " rows; give one per row, or none.");
  if (!call.has(kPrefixKey)) return;
  const int64_t tasks = call.dim("tasks"), slots = call.dim("slots"), slot = call.integer("slot");
  if (slot < 0 || slot >= slots)
    fail("INVALID_ARGUMENT", call.describe(), ": slot is ", slot, "; the prefix has slots 0 to ", slots - 1, ".");
  if (tasks == 0 && rows > 0)
    fail("INVALID_SHAPE", call.describe(), ": there are ", rows, " rows but no task for them to use.");
  for (size_t row = 0; row < taskIndex.size(); ++row)
    if (taskIndex[row] < 0 || taskIndex[row] >= tasks)
      fail("INVALID_ARGUMENT", call.describe(), ": taskIndex[", row, "] is ", taskIndex[row], "; there are ", tasks,
           " tasks.");
}

}  // namespace
}  // namespace decode_attention

OpSpec declare_decode_attention() {
  using namespace decode_attention;
  OpSpec op;
  op.name = "decode_attention";
  op.summary = "stores k and v at `position`, o = softmax(q [prefix | cache]^T + relative bias) [prefix | cache]";
  op.inputs = {{"q", "rows width"},
               {"k", "rows width"},
               {"v", "rows width"},
               {"keyCache", "rows capacity width", kMutable},
               {"valueCache", "rows capacity width", kMutable},
               {"position", "1", kRequired, DType::i32},
               {"prefixKey", "tasks slots prefix width", kOptional},
               {"prefixValue", "tasks slots prefix width", kOptional},
               {"bias", "buckets numHeads", kOptional}};
  op.outputs = {{"o", "rows width"}};
  op.attributes = {
      {"numHeads", int64_t{0}, true}, {"taskIndex", IntList{}}, {"slot", int64_t{0}}, {"maxDistance", int64_t{128}}};
  op.kernels[0] = {forward, nullptr};
  op.resolve = resolve;
  // The position is known to the device only: counts half the cache, the mean over a decode that fills it.
  op.flops = [](const Call& call) {
    const double prefix = call.has(kPrefixKey) ? static_cast<double>(call.dim("prefix")) : 0.0;
    const double keys = prefix + static_cast<double>(call.dim("capacity") + 1) / 2;
    return 4.0 * keys * static_cast<double>(call.dim("rows") * call.dim("width"));
  };
  return op;
}

}  // namespace hint
