#include "native/math/finite.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include "native/runtime/parallel.h"

namespace hint {
namespace {

// The exponent bits of NaN and of infinities are all ones.
constexpr uint32_t kExponent32 = 0x7f800000;
constexpr uint16_t kExponent16 = 0x7f80;

HINT_CLONES bool isAnyNonFinite(const uint32_t* x, int64_t count) {
  uint32_t found = 0;
  for (int64_t i = 0; i < count; ++i) found |= static_cast<uint32_t>((x[i] & kExponent32) == kExponent32);
  return found != 0;
}

HINT_CLONES bool isAnyNonFinite(const uint16_t* x, int64_t count) {
  uint16_t found = 0;
  for (int64_t i = 0; i < count; ++i) found |= static_cast<uint16_t>((x[i] & kExponent16) == kExponent16);
  return found != 0;
}

template <typename Word>
int64_t firstWith(Word exponent, const Word* x, int64_t count) {
  constexpr int64_t kBlock = 16384, kNone = std::numeric_limits<int64_t>::max();
  std::atomic<int64_t> found{kNone};
  parallelFor((count + kBlock - 1) / kBlock, 16, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t at = block * kBlock;
      if (!isAnyNonFinite(x + at, std::min(kBlock, count - at))) continue;
      int64_t index = at;
      while ((x[index] & exponent) != exponent) ++index;
      for (int64_t least = found; index < least && !found.compare_exchange_weak(least, index);) continue;
      return;
    }
  });
  return found == kNone ? -1 : found.load();
}

}  // namespace

int64_t firstNonFinite(DType dtype, const void* values, int64_t count) {
  if (dtype == DType::f32) return firstWith(kExponent32, static_cast<const uint32_t*>(values), count);
  if (dtype == DType::bf16) return firstWith(kExponent16, static_cast<const uint16_t*>(values), count);
  return -1;
}

int64_t firstNonFinite(const Tensor& tensor) { return firstNonFinite(tensor.dtype, addressOf(tensor), tensor.size()); }

}  // namespace hint
