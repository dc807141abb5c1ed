#include "native/runtime/panels.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "native/runtime/parallel.h"

#define HINT_INLINE inline __attribute__((always_inline))

namespace hint {
namespace {

constexpr int64_t kLanes = 16;
/// Sixteen values; compilers split them where registers are narrower.
typedef uint32_t Bits __attribute__((vector_size(64)));
typedef uint16_t HalfBits __attribute__((vector_size(32)));

constexpr uint32_t kExponent = 0x7f800000u, kLowestExponent = 0x00800000u, kSign = 0x80000000u;

/// The sign of a lane is set where the value's exponent is all ones: it is infinite or no number.
HINT_INLINE Bits oddities(const Bits& bits) { return (bits & kExponent) + kLowestExponent; }

/// How stored values become those of the panels; `odd` gathers oddities.
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
    // As toBf16 rounds, NaN included.
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

/// Up to sixteen values; zeros behind them.
template <typename Source>
HINT_INLINE Bits loadSome(const typename Source::Stored* from, int64_t count, Bits& odd) {
  if (count >= kLanes) return Source::load(from, odd);
  typename Source::Stored some[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) some[i] = from[i];
  return Source::load(some, odd);
}

/// What a thread is handed: rows [begin, end) of the panels of one matrix.
struct Piece {
  int64_t k, n;
  Panels panels;
  int64_t begin, end;
};

/// Of a matrix [k, n]: each row goes to all panels.
template <typename Source>
HINT_INLINE uint32_t arrangeRows(const Piece& p, const void* values, float* to) {
  const auto* from = static_cast<const typename Source::Stored*>(values);
  const int64_t width = p.panels.width, distance = width * p.panels.rows;
  Bits odd = {};
  for (int64_t row = p.begin; row < p.end; ++row) {
    const int64_t known = row < p.k ? p.n : 0;
    float* target = to + row * width;
    for (int64_t first = 0; first < p.n; first += width, target += distance)
      for (int64_t j = 0; j < width; j += kLanes) {
        const int64_t left = known - first - j;
        const Bits bits = left > 0 ? loadSome<Source>(from + row * p.n + first + j, left, odd) : Bits{};
        __builtin_memcpy(target + j, &bits, sizeof(bits));
      }
  }
  uint32_t any = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) any |= odd[lane];
  return any & kSign;
}

/// Of a matrix [n, k]: tiles of sixteen by sixteen change their rows for columns.
template <typename Source>
HINT_INLINE uint32_t arrangeColumns(const Piece& p, const void* values, float* to) {
  const auto* from = static_cast<const typename Source::Stored*>(values);
  const int64_t width = p.panels.width, distance = width * p.panels.rows;
  Bits odd = {};
  for (int64_t first = 0; first < p.n; first += width, to += distance)
    for (int64_t j = 0; j < width; j += kLanes)
      for (int64_t row = p.begin; row < p.end; row += kLanes) {
        uint32_t tile[kLanes][kLanes];
        for (int64_t lane = 0; lane < kLanes; ++lane) {
          const int64_t column = first + j + lane, left = column < p.n ? p.k - row : 0;
          const Bits bits = left > 0 ? loadSome<Source>(from + column * p.k + row, left, odd) : Bits{};
          __builtin_memcpy(tile[lane], &bits, sizeof(bits));
        }
        const int64_t rows = std::min(kLanes, p.end - row);
        for (int64_t i = 0; i < rows; ++i) {
          Bits turned;
#pragma GCC unroll 16
          for (int64_t lane = 0; lane < kLanes; ++lane) turned[lane] = tile[lane][i];
          __builtin_memcpy(to + (row + i) * width + j, &turned, sizeof(turned));
        }
      }
  uint32_t any = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) any |= odd[lane];
  return any & kSign;
}

using Arrange = uint32_t (*)(const Piece&, const void*, float*);

HINT_CLONES uint32_t exactRows(const Piece& p, const void* from, float* to) { return arrangeRows<Exact>(p, from, to); }
HINT_CLONES uint32_t roundedRows(const Piece& p, const void* from, float* to) {
  return arrangeRows<Rounded>(p, from, to);
}
HINT_CLONES uint32_t halfRows(const Piece& p, const void* from, float* to) { return arrangeRows<Halves>(p, from, to); }
HINT_CLONES uint32_t exactColumns(const Piece& p, const void* from, float* to) {
  return arrangeColumns<Exact>(p, from, to);
}
HINT_CLONES uint32_t roundedColumns(const Piece& p, const void* from, float* to) {
  return arrangeColumns<Rounded>(p, from, to);
}
HINT_CLONES uint32_t halfColumns(const Piece& p, const void* from, float* to) {
  return arrangeColumns<Halves>(p, from, to);
}

/// Rows of the panels that are handed out together.
constexpr int64_t kRows = 64;

}  // namespace

bool arrangeInPanels(const PlainMatrices& matrices, const Panels& panels, bool isRounded, float* to) {
  const int64_t k = matrices.k, n = matrices.n;
  const bool turned = matrices.transposed;
  const Arrange arrange = matrices.dtype == DType::bf16 ? (turned ? halfColumns : halfRows)
                          : isRounded                   ? (turned ? roundedColumns : roundedRows)
                                                        : (turned ? exactColumns : exactRows);
  const int64_t pieces = (panels.rows + kRows - 1) / kRows;
  const int64_t bytes = k * n * static_cast<int64_t>(sizeOf(matrices.dtype)), size = panels.values(n);
  const auto* from = static_cast<const char*>(matrices.values);
  std::atomic<uint32_t> odd{0};
  parallelFor(matrices.count * pieces, 1 + (1 << 14) / std::max<int64_t>(1, kRows * n),
              [&](int64_t begin, int64_t end) {
                uint32_t own = 0;
                for (int64_t i = begin; i < end; ++i) {
                  const int64_t matrix = i / pieces, first = i % pieces * kRows;
                  const Piece piece{k, n, panels, first, std::min(panels.rows, first + kRows)};
                  own |= arrange(piece, from + matrix * bytes, to + matrix * size);
                }
                odd |= own;
              });
  return odd == 0;
}

}  // namespace hint
