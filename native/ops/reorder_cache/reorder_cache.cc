#include "native/ops/reorder_cache/reorder_cache.h"

#include "native/core/error.h"
#include "native/ops/common/gpu_work.h"

namespace hint {

OpSpec declare_reorder_cache() {
  using namespace reorder_cache;
  OpSpec op;
  op.name = "reorder_cache";
  op.summary = "cache[row][0..position) = cache[parents[row]][0..position), parents within groups of groupSize rows";
  op.inputs = {{"cache", "rows capacity width", kMutable | kUnwritten, kFloating},
               {"parents", "rows", kRequired, DType::i32},
               {"position", "1", kRequired, DType::i32}};
  op.attributes = {{"groupSize", int64_t{1}, true}};
  op.cpu = {forward, nullptr, ReadsBf16::always};
  op.resolve = [](Call& call) {
    const int64_t size = call.integer("groupSize"), rows = call.dim("rows");
    if (size < 1 || rows % size != 0)
      fail("INVALID_ARGUMENT", call.describe(), ": groupSize is ", size, ", which must divide the ", rows, " rows.");
  };
  // Only the device knows which rows move and how much of them is filled; half of everything is counted.
  op.traffic = [](const Call& call) { return static_cast<double>(call.inputs[kCache].bytes()); };
  op.gpuWork = [](const Call& call) {
    // One kernel checks the parents, one moves the rows.
    return GpuWork{1, 0} + computing(call.dim("rows") * call.dim("width"));
  };
  return op;
}

}  // namespace hint
