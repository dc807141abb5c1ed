#include <algorithm>

#include "native/core/error.h"
#include "native/ops/reorder_cache/reorder_cache.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

namespace hint::reorder_cache {
namespace {

/// Values of each row that are moved at a time, so few that those of a group stay in the first cache level.
constexpr int64_t kChunk = 1024;

void checkParents(const Call& call, int64_t groupSize) {
  const int32_t* parents = call.ids(kParents);
  for (int64_t row = 0; row < call.dim("rows"); ++row)
    if (parents[row] < 0 || parents[row] / groupSize != row / groupSize)
      fail("INVALID_ARGUMENT", call.describe(), ": parents[", row, "] is ", parents[row],
           ", which is not in the row's group of ", groupSize, ".");
}

/// `Value` is as large as an element.
template <typename Value>
void move(Call& call) {
  const int64_t rows = call.dim("rows"), capacity = call.dim("capacity"), width = call.dim("width");
  const int64_t groupSize = call.integer("groupSize"), position = call.ids(kPosition)[0];
  if (position < 0 || position > capacity)
    fail("INVALID_SHAPE", call.describe(), ": position is ", position, ", but the cache holds ", capacity, " tokens.");
  checkParents(call, groupSize);
  const int32_t* parents = call.ids(kParents);
  Value* cache = call.in(kCache).data<Value>();
  const int64_t chunks = (position * width + kChunk - 1) / kChunk;
  const int64_t grain = std::max<int64_t>(1, kElementGrain / (kChunk * groupSize));
  parallelFor(rows / groupSize * chunks, grain, [&](int64_t begin, int64_t end) {
    const Scratch room(groupSize * kChunk);
    Value* old = reinterpret_cast<Value*>(room.data());
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t first = unit / chunks * groupSize, from = unit % chunks * kChunk;
      const int64_t length = std::min(kChunk, position * width - from);
      const auto at = [&](int64_t row) { return cache + row * capacity * width + from; };
      // All sources are copied before the first row is overwritten.
      for (int64_t i = 0; i < groupSize; ++i)
        if (parents[first + i] != first + i) std::copy_n(at(parents[first + i]), length, old + i * kChunk);
      for (int64_t i = 0; i < groupSize; ++i)
        if (parents[first + i] != first + i) std::copy_n(old + i * kChunk, length, at(first + i));
    }
  });
}

}  // namespace

void forward(Call& call) {
  if (call.in(kCache).dtype == DType::bf16)
    move<uint16_t>(call);
  else
    move<float>(call);
}

}  // namespace hint::reorder_cache
