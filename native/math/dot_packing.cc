#include "native/math/dot_packing.h"

#include <algorithm>
#include <cstring>

#include "native/math/transpose_tile.h"
#include "native/runtime/parallel.h"

namespace hint {
namespace {

typedef uint16_t HalfBits __attribute__((vector_size(32)));
typedef uint8_t ByteBits __attribute__((vector_size(16)));

/// Columns of a tile, and bytes of a tile's row: sixteen groups.
constexpr int64_t kLanes = 16, kTileBytes = kLanes * DotPanels::kGroupBytes;

/// Lines of a matrix, of which `lines` exist from `values` on with `count` values each; the others count as zeros.
struct Lines {
  const char* values;
  int64_t distance;  ///< bytes
  int64_t lines, count;
};

/// The first 64 bytes of a line.
HINT_INLINE Bits loadLine(const Lines& from, int64_t line, int64_t bytes) {
  Bits bits = {};
  if (line >= from.lines) return bits;
  const char* values = from.values + line * from.distance;
  if (bytes >= kTileBytes) {
    __builtin_memcpy(&bits, values, kTileBytes);
  } else {
    char some[kTileBytes] = {};
    for (int64_t i = 0; i < bytes; ++i) some[i] = values[i];
    __builtin_memcpy(&bits, some, kTileBytes);
  }
  return bits;
}

/// The first sixteen values of a line, each in 32 bits.
template <typename Value, typename Narrow>
HINT_INLINE Bits widenLine(const Lines& from, int64_t line) {
  Narrow narrow = {};
  if (line < from.lines) {
    const char* values = from.values + line * from.distance;
    if (from.count >= kLanes) {
      __builtin_memcpy(&narrow, values, sizeof(narrow));
    } else {
      Value some[kLanes] = {};
      for (int64_t i = 0; i < from.count; ++i)
        __builtin_memcpy(some + i, values + i * static_cast<int64_t>(sizeof(Value)), sizeof(Value));
      __builtin_memcpy(&narrow, some, sizeof(narrow));
    }
  }
  return __builtin_convertvector(narrow, Bits);
}

/// Groups of lines that lie across them: group g has the values of lines g * group … of one column.
HINT_INLINE Bits groupOfHalves(const Lines& from, int64_t group) {
  return widenLine<uint16_t, HalfBits>(from, 2 * group) | widenLine<uint16_t, HalfBits>(from, 2 * group + 1) << 16;
}

HINT_INLINE Bits groupOfBytes(const Lines& from, int64_t group) {
  const int64_t line = 4 * group;
  return widenLine<uint8_t, ByteBits>(from, line) | widenLine<uint8_t, ByteBits>(from, line + 1) << 8 |
         widenLine<uint8_t, ByteBits>(from, line + 2) << 16 | widenLine<uint8_t, ByteBits>(from, line + 3) << 24;
}

HINT_INLINE void put(char* to, const Bits& bits) { __builtin_memcpy(to, &bits, sizeof(bits)); }

/// One step of sixteen columns, from lines along k.
HINT_CLONES void turnStep(const Lines& from, int64_t bytes, char* to, int64_t distance) {
  Bits tile[kLanes];
  for (int64_t line = 0; line < kLanes; ++line) tile[line] = loadLine(from, line, bytes);
  transpose(tile);
  for (int64_t group = 0; group < kLanes; ++group) put(to + group * distance, tile[group]);
}

/// One step of sixteen columns, from lines across k.
HINT_CLONES void groupFloats(const Lines& from, char* to, int64_t distance) {
  const int64_t bytes = from.count * static_cast<int64_t>(sizeof(float));
  for (int64_t group = 0; group < kLanes; ++group) put(to + group * distance, loadLine(from, group, bytes));
}

HINT_CLONES void groupHalves(const Lines& from, char* to, int64_t distance) {
  for (int64_t group = 0; group < kLanes; ++group) put(to + group * distance, groupOfHalves(from, group));
}

HINT_CLONES void groupBytes(const Lines& from, char* to, int64_t distance) {
  for (int64_t group = 0; group < kLanes; ++group) put(to + group * distance, groupOfBytes(from, group));
}

/// One step of sixteen left rows, from lines across k.
HINT_CLONES void turnHalves(const Lines& from, char* to, int64_t distance) {
  Bits tile[kLanes];
  for (int64_t group = 0; group < kLanes; ++group) tile[group] = groupOfHalves(from, group);
  transpose(tile);
  for (int64_t row = 0; row < kLanes; ++row) put(to + row * distance, tile[row]);
}

}  // namespace

void arrangePanels(const DotSource& matrix, const DotPanels& panels, int64_t n, int64_t first, int64_t last, void* to) {
  const auto size = static_cast<int64_t>(sizeOf(panels.dtype));
  const int64_t step = panels.step(), rowBytes = DotPanels::kColumns * DotPanels::kGroupBytes,
                distance = matrix.distance * size;
  const auto* values = static_cast<const char*>(matrix.values);
  const auto targetOf = [&](int64_t column, int64_t at) {
    return static_cast<char*>(to) + column / DotPanels::kColumns * panels.panelBytes() +
           column % DotPanels::kColumns * DotPanels::kGroupBytes + at / step * DotPanels::kGroups * rowBytes;
  };
  // The loop over lines as stored is the outer one, so that each is read as far as it is asked for.
  if (matrix.isAlong) {
    for (int64_t column = first; column < last; column += kLanes)
      for (int64_t at = 0; at < panels.k; at += step) {
        const char* begin = values + (std::min(column, n) * matrix.distance + at) * size;
        turnStep({begin, distance, std::max<int64_t>(0, n - column), panels.k - at}, (panels.k - at) * size,
                 targetOf(column, at), rowBytes);
      }
    return;
  }
  const auto group = panels.dtype == DType::bf16 ? groupHalves : panels.dtype == DType::i8 ? groupBytes : groupFloats;
  for (int64_t at = 0; at < panels.k; at += step)
    for (int64_t column = first; column < last; column += kLanes) {
      const char* begin = values + (at * matrix.distance + std::min(column, n)) * size;
      group({begin, distance, panels.k - at, std::max<int64_t>(0, n - column)}, targetOf(column, at), rowBytes);
    }
}

void fillRows(int64_t count, int64_t bytes, int64_t rowBytes, void* to) {
  auto* rows = static_cast<char*>(to);
  for (int64_t row = 0; row < count; ++row)
    std::memset(rows + row * rowBytes + bytes, 0, static_cast<size_t>(rowBytes - bytes));
  const int64_t read = (count + kDotRowsRead - 1) / kDotRowsRead * kDotRowsRead;
  std::memset(rows + count * rowBytes, 0, static_cast<size_t>((read - count) * rowBytes));
}

void arrangeRows(const DotSource& matrix, DType dtype, int64_t first, int64_t count, int64_t k, void* to) {
  const DotPanels of{k, dtype};
  const auto size = static_cast<int64_t>(sizeOf(dtype));
  const int64_t rowBytes = dotRowBytes(of.steps()), distance = matrix.distance * size;
  const auto* values = static_cast<const char*>(matrix.values);
  auto* rows = static_cast<char*>(to);
  if (matrix.isAlong) {
    for (int64_t row = 0; row < count; ++row)
      std::memcpy(rows + row * rowBytes, values + (first + row) * distance, static_cast<size_t>(k * size));
    return fillRows(count, k * size, rowBytes, to);
  }
  // Along k outside, so that lines as stored are read as far as they are asked for.
  for (int64_t at = 0; at < k; at += of.step())
    for (int64_t row = 0; row < count; row += kLanes) {
      const Lines lines{values + at * distance + (first + row) * size, distance, k - at, count - row};
      char* target = rows + row * rowBytes + at * size;
      if (dtype == DType::bf16)
        turnHalves(lines, target, rowBytes);
      else
        turnStep(lines, lines.count * size, target, rowBytes);
    }
}

}  // namespace hint
