#include "native/math/panels.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "native/math/transpose_tile.h"
#include "native/runtime/parallel.h"

namespace hint {
namespace {

constexpr int64_t kLanes = 16;
/// Sixteen values; the compiler splits them where registers are narrower.
typedef uint16_t HalfBits __attribute__((vector_size(32)));
typedef int8_t Bytes __attribute__((vector_size(16)));
typedef int32_t Integers __attribute__((vector_size(64)));

constexpr uint32_t kExponent = 0x7f800000u, kLowestExponent = 0x00800000u, kSign = 0x80000000u;

/// Sets the sign bit of each lane whose exponent is all ones: the value is infinite or NaN.
HINT_INLINE Bits oddities(const Bits& bits) { return (bits & kExponent) + kLowestExponent; }

/// Conversions of stored values to those of the panels. `odd` collects the result of oddities().
struct Exact {
  using Stored = float;
  static HINT_INLINE Bits load(const float* from, Bits& odd) {
    Bits bits;
    __builtin_memcpy(&bits, from, sizeof(bits));
    odd |= oddities(bits);
    return bits;
  }
};

struct Rounded {
  using Stored = float;
  static HINT_INLINE Bits load(const float* from, Bits& odd) {
    const Bits bits = Exact::load(from, odd);
    // The same rounding as toBf16, also of NaN.
    const Bits nearest = bits + 0x7fffu + ((bits >> 16) & 1u);
    const auto isNaN = reinterpret_cast<Bits>((bits & ~kSign) > kExponent);
    return ((isNaN & (bits | 0x400000u)) | (~isNaN & nearest)) & 0xffff0000u;
  }
};

struct Halves {
  using Stored = uint16_t;
  static HINT_INLINE Bits load(const uint16_t* from, Bits& odd) {
    HalfBits halves;
    __builtin_memcpy(&halves, from, sizeof(halves));
    const Bits bits = __builtin_convertvector(halves, Bits) << 16;
    odd |= oddities(bits);
    return bits;
  }
};

struct Steps {
  using Stored = int8_t;
  static HINT_INLINE Bits load(const int8_t* from, Bits&) {
    Bytes steps;
    __builtin_memcpy(&steps, from, sizeof(steps));
    return reinterpret_cast<Bits>(__builtin_convertvector(steps, Integers));
  }
};

/// Stores sixteen values in the dtype of the panels.
HINT_INLINE void put(float* to, const Bits& bits) { __builtin_memcpy(to, &bits, sizeof(bits)); }
HINT_INLINE void put(uint16_t* to, const Bits& bits) {
  const HalfBits halves = __builtin_convertvector(bits >> 16, HalfBits);
  __builtin_memcpy(to, &halves, sizeof(halves));
}
HINT_INLINE void put(int8_t* to, const Bits& bits) {
  const Bytes steps = __builtin_convertvector(reinterpret_cast<Integers>(bits), Bytes);
  __builtin_memcpy(to, &steps, sizeof(steps));
}

/// Loads `count` values, at most sixteen, and fills the other lanes with zeros.
template <typename Source>
HINT_INLINE Bits loadSome(const typename Source::Stored* from, int64_t count, Bits& odd) {
  if (count >= kLanes) return Source::load(from, odd);
  typename Source::Stored some[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) some[i] = from[i];
  return Source::load(some, odd);
}

/// One thread's piece of work: rows [begin, end) of the panels that begin at columns [first, last) of one matrix.
struct Piece {
  int64_t k, n;
  Panels panels;
  int64_t begin, end, first, last;
};

/// Arranges a piece of a matrix [k, n]: each row goes to all panels.
template <typename Source, typename Held>
HINT_INLINE uint32_t arrangeRows(const Piece& p, const void* values, void* panels) {
  const auto* from = static_cast<const typename Source::Stored*>(values);
  auto* to = static_cast<Held*>(panels);
  const int64_t width = p.panels.width, distance = width * p.panels.rows;
  Bits odd = {};
  for (int64_t row = p.begin; row < p.end; ++row) {
    const int64_t known = row < p.k ? p.n : 0;
    Held* target = to + row * width;
    for (int64_t first = 0; first < p.n; first += width, target += distance)
      for (int64_t j = 0; j < width; j += kLanes) {
        const int64_t left = known - first - j;
        put(target + j, left > 0 ? loadSome<Source>(from + row * p.n + first + j, left, odd) : Bits{});
      }
  }
  uint32_t any = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) any |= odd[lane];
  return any & kSign;
}

/// Arranges a piece of a matrix [n, k], by transposing tiles of sixteen by sixteen values.
template <typename Source, typename Held>
HINT_INLINE uint32_t arrangeColumns(const Piece& p, const void* values, void* panels) {
  const auto* from = static_cast<const typename Source::Stored*>(values);
  auto* to = static_cast<Held*>(panels);
  const int64_t width = p.panels.width, distance = width * p.panels.rows;
  Bits odd = {};
  to += p.first / width * distance;
  for (int64_t first = p.first; first < p.last; first += width, to += distance)
    for (int64_t j = 0; j < width; j += kLanes)
      for (int64_t row = p.begin; row < p.end; row += kLanes) {
        Bits tile[kLanes];
#pragma GCC unroll 16
        for (int64_t lane = 0; lane < kLanes; ++lane) {
          const int64_t column = first + j + lane, left = column < p.n ? p.k - row : 0;
          tile[lane] = left > 0 ? loadSome<Source>(from + column * p.k + row, left, odd) : Bits{};
        }
        transpose(tile);
        const int64_t rows = std::min(kLanes, p.end - row);
        for (int64_t i = 0; i < rows; ++i) put(to + (row + i) * width + j, tile[i]);
      }
  uint32_t any = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) any |= odd[lane];
  return any & kSign;
}

using Arrange = uint32_t (*)(const Piece&, const void*, void*);

#define HINT_ARRANGE(name, Source, Held)                                           \
  HINT_CLONES uint32_t name##Rows(const Piece& p, const void* from, void* to) {    \
    return arrangeRows<Source, Held>(p, from, to);                                 \
  }                                                                                \
  HINT_CLONES uint32_t name##Columns(const Piece& p, const void* from, void* to) { \
    return arrangeColumns<Source, Held>(p, from, to);                              \
  }

HINT_ARRANGE(exact, Exact, float)
HINT_ARRANGE(rounded, Rounded, float)
HINT_ARRANGE(widened, Halves, float)
HINT_ARRANGE(narrowed, Rounded, uint16_t)
HINT_ARRANGE(half, Halves, uint16_t)
HINT_ARRANGE(step, Steps, int8_t)

#undef HINT_ARRANGE

Arrange arrangementOf(DType given, DType held, bool isRounded, bool turned) {
  const auto choose = [&](Arrange rows, Arrange columns) { return turned ? columns : rows; };
  if (held == DType::i8) return choose(stepRows, stepColumns);
  if (held == DType::bf16)
    return given == DType::bf16 ? choose(halfRows, halfColumns) : choose(narrowedRows, narrowedColumns);
  if (given == DType::bf16) return choose(widenedRows, widenedColumns);
  return isRounded ? choose(roundedRows, roundedColumns) : choose(exactRows, exactColumns);
}

/// Size of a piece. For a matrix [k, n] it is kRows rows of all panels, for a matrix [n, k] kRowsOfPanel rows of one
/// panel: in both cases what a thread reads is contiguous.
constexpr int64_t kRows = 64, kRowsOfPanel = 512;

}  // namespace

bool arrangeInPanels(const PlainMatrices& matrices, const Panels& panels, DType held, bool isRounded, void* to) {
  const int64_t k = matrices.k, n = matrices.n;
  const bool turned = matrices.transposed;
  const Arrange arrange = arrangementOf(matrices.dtype, held, isRounded, turned);
  const int64_t height = turned ? kRowsOfPanel : kRows, span = turned ? panels.width : n;
  const int64_t blocks = (panels.rows + height - 1) / height, pieces = (n + span - 1) / span * blocks;
  const int64_t bytes = k * n * static_cast<int64_t>(sizeOf(matrices.dtype)),
                size = panels.values(n) * static_cast<int64_t>(sizeOf(held));
  const auto* from = static_cast<const char*>(matrices.values);
  std::atomic<uint32_t> odd{0};
  parallelFor(matrices.count * pieces, 1 + (1 << 14) / (height * span), [&](int64_t begin, int64_t end) {
    uint32_t own = 0;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t matrix = i / pieces, row = i % blocks * height, first = i % pieces / blocks * span;
      const Piece piece{k, n, panels, row, std::min(panels.rows, row + height), first, std::min(n, first + span)};
      own |= arrange(piece, from + matrix * bytes, static_cast<char*>(to) + matrix * size);
    }
    odd |= own;
  });
  return odd == 0;
}

}  // namespace hint
