#include <algorithm>
#include <vector>

#include "native/core/error.h"
#include "native/math/float_rows.h"
#include "native/ops/attention/cpu/rows.h"
#include "native/ops/attention/cpu/workspace.h"
#include "native/ops/common/relative_bucket.h"
#include "native/ops/decode_attention/decode_attention.h"
#include "native/runtime/scratch.h"

namespace hint::decode_attention {
namespace {

/// bias[head][key] for a query at `position` and keys 0..position.
std::vector<float> biasOfKeys(const Call& call, int64_t heads, int64_t position) {
  if (!call.has(kBias)) return {};
  const RelativeBuckets& buckets = relativeBuckets(call.dim("buckets"), call.integer("maxDistance"), true);
  std::vector<float> room(static_cast<size_t>(call.in(kBias).size()));
  const float* bias = FloatReader(call.in(kBias)).read(0, call.in(kBias).size(), room.data());
  std::vector<float> values(static_cast<size_t>(heads * (position + 1)));
  for (int64_t key = 0; key <= position; ++key) {
    const int32_t bucket = buckets.of(key - position);
    for (int64_t head = 0; head < heads; ++head)
      values[static_cast<size_t>(head * (position + 1) + key)] = bias[bucket * heads + head];
  }
  return values;
}

/// `Value` is float, or uint16_t for bf16.
template <typename Value>
void attend(Call& call) {
  const int64_t rows = call.dim("rows"), width = call.dim("width"), capacity = call.dim("capacity");
  const int64_t heads = call.integer("numHeads"), dim = width / heads;
  const int64_t position = call.ids(kPosition)[0];
  if (position < 0 || position >= capacity)
    fail("INVALID_SHAPE", call.describe(), ": position is ", position, ", but the caches hold ", capacity,
         " tokens; stop decoding earlier or allocate larger caches.");
  const std::vector<float> bias = biasOfKeys(call, heads, position);
  const int64_t prefix = call.has(kPrefixKey) ? call.dim("prefix") : 0;
  const int64_t slots = prefix ? call.dim("slots") : 0, slot = call.integer("slot");
  const IntList& taskIndex = call.list("taskIndex");
  int64_t allKeys = rows * (position + 1);
  for (int64_t row = 0; row < rows; ++row) allKeys += fixedKeys(call, row);

  // With few rows, heads are divided among threads, too.
  const int64_t groups = std::clamp<int64_t>(2 * threadCount() / std::max<int64_t>(rows, 1), 1, heads);
  const double flops = 4.0 * static_cast<double>(width) * static_cast<double>(allKeys);
  attention::runUnits(rows * groups, flops, [&](int64_t unit) {
    const int64_t row = unit / groups, group = unit % groups;
    const int64_t firstHead = heads * group / groups, endHead = heads * (group + 1) / groups;
    const auto of = [&](int input) { return call.has(input) ? call.in(input).data<Value>() : nullptr; };
    Value* keyCache = of(kKeyCache) + row * capacity * width;
    Value* valueCache = of(kValueCache) + row * capacity * width;
    const int64_t begin = firstHead * dim, count = (endHead - firstHead) * dim;
    std::copy_n(of(kK) + row * width + begin, count, keyCache + position * width + begin);
    std::copy_n(of(kV) + row * width + begin, count, valueCache + position * width + begin);

    const Scratch scratch((endHead - firstHead) * (fixedKeys(call, row) + position + 1) + 2 * width);
    float *ofQuery = scratch, *ofResult = ofQuery + width;
    const FloatWriter o(call.out(kO));
    const float* q = FloatReader(call.in(kQ)).read(row * width, width, ofQuery);
    float* result = o.place(row * width, ofResult);
    attention::SingleQuery<Value> query{q,
                                        result,
                                        nullptr,
                                        attention::kMaxQuerySegments,
                                        {},
                                        width,
                                        dim,
                                        firstHead,
                                        endHead,
                                        bias.empty() ? nullptr : bias.data(),
                                        position + 1,
                                        nullptr,
                                        ofResult + width};
    if (prefix) {
      const int64_t task = taskIndex.empty() ? 0 : taskIndex[static_cast<size_t>(row)];
      const int64_t from = (task * slots + slot) * prefix * width;
      query.rows[0] = {of(kPrefixKey) + from, of(kPrefixValue) + from, prefix};
    }
    if (call.has(kSharedKey)) {
      const RowRange shared = rowsOf(call, "sharedOffsets", "taskIndex", row);
      const int64_t from = shared.begin * width;
      query.rows[1] = {of(kSharedKey) + from, of(kSharedValue) + from, shared.count};
    }
    if (call.has(kContextKey)) {
      const RowRange context = rowsOf(call, "contextOffsets", "contextIndex", row);
      const int64_t from = context.begin * width;
      query.rows[2] = {of(kContextKey) + from, of(kContextValue) + from, context.count};
    }
    query.rows[3] = {keyCache, valueCache, position + 1};
    attention::attendSingle(query);
    o.write(row * width + begin, count, result + begin);
  });
}

}  // namespace

void forward(Call& call) {
  if (call.in(kQ).dtype == DType::bf16)
    attend<uint16_t>(call);
  else
    attend<float>(call);
}

}  // namespace hint::decode_attention
