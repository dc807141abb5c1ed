#include "native/ops/decode_attention/decode_attention.h"

#include "native/core/error.h"
#include "native/ops/common/relative_bucket.h"

namespace hint {
namespace decode_attention {
namespace {

void requirePair(const Call& call, int key, int value) {
  if (call.has(key) != call.has(value))
    fail("INVALID_ARGUMENT", call.describe(), ": ", call.spec->inputs[static_cast<size_t>(key)].name, " and ",
         call.spec->inputs[static_cast<size_t>(value)].name, " come together; pass both or neither.");
}

/// Checks that the attribute has one entry below `count` per row, or is empty, which means entry 0 for every row.
void checkIndex(const Call& call, const char* name, int64_t count, const char* what) {
  const IntList& index = call.list(name);
  const int64_t rows = call.dim("rows");
  if (!index.empty() && static_cast<int64_t>(index.size()) != rows)
    fail("INVALID_SHAPE", call.describe(), ": ", name, " has ", index.size(), " entries for ", rows,
         " rows; give one per row, or none.");
  if (count == 0 && rows > 0)
    fail("INVALID_SHAPE", call.describe(), ": there are ", rows, " rows but no ", what, " for them to use.");
  for (size_t row = 0; row < index.size(); ++row)
    if (index[row] < 0 || index[row] >= count)
      fail("INVALID_ARGUMENT", call.describe(), ": ", name, "[", row, "] is ", index[row], "; there are ", count, " ",
           what, ".");
}

void checkTasks(const Call& call) {
  int64_t tasks = -1;
  if (call.has(kPrefixKey)) {
    tasks = call.dim("tasks");
    const int64_t slots = call.dim("slots"), slot = call.integer("slot");
    if (slot < 0 || slot >= slots)
      fail("INVALID_ARGUMENT", call.describe(), ": slot is ", slot, "; the prefix has slots 0 to ", slots - 1, ".");
  }
  if (call.has(kSharedKey)) {
    checkOffsets(call, "sharedOffsets", call.dim("sharedRows"));
    const int64_t segments = static_cast<int64_t>(call.list("sharedOffsets").size()) - 1;
    if (tasks >= 0 && segments != tasks)
      fail("INVALID_SHAPE", call.describe(), ": the prefix is of ", tasks, " tasks, but sharedOffsets describes ",
           segments, "; they must agree.");
    tasks = segments;
  }
  // Without prefix and shared segment there is no number of tasks to check against.
  checkIndex(call, "taskIndex", tasks >= 0 ? tasks : INT32_MAX, "tasks");
}

void resolve(Call& call) {
  const int64_t heads = call.integer("numHeads"), width = call.dim("width");
  if (heads < 1 || width < 1 || width % heads != 0)
    fail("INVALID_SHAPE", call.describe(), ": numHeads is ", heads, ", which must divide the width of ", width, ".");
  call.setDim("numHeads", heads);
  if (call.has(kBias)) relativeBuckets(call.dim("buckets"), call.integer("maxDistance"), true);
  requirePair(call, kPrefixKey, kPrefixValue);
  requirePair(call, kSharedKey, kSharedValue);
  requirePair(call, kContextKey, kContextValue);
  checkTasks(call);
  if (!call.has(kContextKey)) return;
  checkOffsets(call, "contextOffsets", call.dim("contextRows"));
  checkIndex(call, "contextIndex", static_cast<int64_t>(call.list("contextOffsets").size()) - 1, "contexts");
}

}  // namespace

RowRange rowsOf(const Call& call, const char* offsets, const char* index, int64_t row) {
  const IntList &from = call.list(offsets), &entry = call.list(index);
  const auto at = static_cast<size_t>(entry.empty() ? 0 : entry[static_cast<size_t>(row)]);
  return {from[at], from[at + 1] - from[at]};
}

int64_t fixedKeys(const Call& call, int64_t row) {
  int64_t keys = call.has(kPrefixKey) ? call.dim("prefix") : 0;
  if (call.has(kSharedKey)) keys += rowsOf(call, "sharedOffsets", "taskIndex", row).count;
  if (call.has(kContextKey)) keys += rowsOf(call, "contextOffsets", "contextIndex", row).count;
  return keys;
}

}  // namespace decode_attention

OpSpec declare_decode_attention() {
  using namespace decode_attention;
  OpSpec op;
  op.name = "decode_attention";
  op.summary =
      "stores k and v at `position`, o = softmax(q [prefix | shared | context | cache]^T + relative bias) [...]";
  op.inputs = {{"q", "rows width", kRequired, kFloating},
               {"k", "rows width", kRequired, like("q")},
               {"v", "rows width", kRequired, like("q")},
               {"keyCache", "rows capacity width", kMutable | kUnwritten, like("q")},
               {"valueCache", "rows capacity width", kMutable | kUnwritten, like("q")},
               {"position", "1", kRequired, DType::i32},
               {"prefixKey", "tasks slots prefix width", kOptional, like("q")},
               {"prefixValue", "tasks slots prefix width", kOptional, like("q")},
               {"bias", "buckets numHeads", kOptional, like("q")},
               {"sharedKey", "sharedRows width", kOptional, like("q")},
               {"sharedValue", "sharedRows width", kOptional, like("q")},
               {"contextKey", "contextRows width", kOptional, like("q")},
               {"contextValue", "contextRows width", kOptional, like("q")}};
  op.outputs = {{"o", "rows width", kRequired, like("q")}};
  op.attributes = {{"numHeads", int64_t{0}, true}, {"taskIndex", IntList{}},     {"slot", int64_t{0}},
                   {"maxDistance", int64_t{128}},  {"sharedOffsets", IntList{}}, {"contextOffsets", IntList{}},
                   {"contextIndex", IntList{}}};
  op.cpu = {forward, nullptr, ReadsBf16::forward};
  op.resolve = resolve;
  // Only the device knows the position; half the cache is the mean over a decode that fills it.
  op.flops = [](const Call& call) {
    const double cache = static_cast<double>(call.dim("capacity") + 1) / 2;
    double keys = 0;
    for (int64_t row = 0; row < call.dim("rows"); ++row) keys += cache + static_cast<double>(fixedKeys(call, row));
    return 4.0 * keys * static_cast<double>(call.dim("width"));
  };
  return op;
}

}  // namespace hint
