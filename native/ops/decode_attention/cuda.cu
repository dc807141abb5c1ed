#include "native/ops/attention/cuda/rows.cuh"
#include "native/ops/decode_attention/decode_attention.h"

namespace hint {
namespace decode_attention {
namespace {

using namespace cuda;
using attention::rows::RowArguments;

template <typename T>
void forwardOf(const Call& call) {
  const int64_t rows = call.dim("rows"), capacity = call.dim("capacity");
  if (rows == 0) return;
  RowArguments<T> g = {};
  g.q = input<T>(call, kQ);
  g.k = input<T>(call, kK);
  g.v = input<T>(call, kV);
  g.keyCache = dataOf<T>(call.in(kKeyCache));
  g.valueCache = dataOf<T>(call.in(kValueCache));
  g.position = input<int32_t>(call, kPosition);
  g.prefixKey = input<T>(call, kPrefixKey);
  g.prefixValue = input<T>(call, kPrefixValue);
  g.bias = input<T>(call, kBias);
  g.sharedKey = input<T>(call, kSharedKey);
  g.sharedValue = input<T>(call, kSharedValue);
  g.contextKey = input<T>(call, kContextKey);
  g.contextValue = input<T>(call, kContextValue);
  if (g.bias) g.buckets = Buckets(call.dim("buckets"), call.integer("maxDistance"), true);
  g.width = call.dim("width");
  g.capacity = capacity;
  g.prefix = g.prefixKey ? call.dim("prefix") : 0;
  g.slots = call.has(kPrefixKey) ? call.dim("slots") : 0;
  g.slot = call.integer("slot");
  g.heads = static_cast<int>(call.integer("numHeads"));
  g.dim = static_cast<int>(g.width / g.heads);
  g.o = output<T>(call, kO);
  g.fault = Context::current().faultWord([text = call.describe(), capacity](int64_t, int32_t position) {
    return Error("INVALID_SHAPE", text + ": position is " + std::to_string(position) + ", but the caches hold " +
                                      std::to_string(capacity) +
                                      " tokens; stop decoding earlier or allocate larger caches.");
  });
  attention::rows::attendRows(call, g,
                              {rows, call.list("taskIndex"), call.list("sharedOffsets"), call.list("contextOffsets"),
                               call.list("contextIndex")});
}

void forwardCuda(Call& call) {
  byType(call.in(kQ).dtype, [&](auto type) { forwardOf<decltype(type)>(call); });
}

}  // namespace
}  // namespace decode_attention

Kernels cuda_decode_attention() { return {decode_attention::forwardCuda, nullptr}; }

}  // namespace hint
