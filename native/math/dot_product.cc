#include "native/math/dot_product.h"

#include <algorithm>
#include <cstring>

#include "native/math/dot_kernel.h"
#include "native/math/dot_packing.h"
#include "native/math/quantize.h"
#include "native/runtime/parallel.h"
#include "native/runtime/scratch.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hint {
namespace {

/// Most panels whose sums are finished together: enough columns for the passes of an epilogue, and few enough that the
/// sums of a tile stay in the nearest cache.
constexpr int64_t kPanelsAtOnce = 4, kColumnsAtOnce = kPanelsAtOnce * DotPanels::kColumns;
/// Bytes of these panels, which the next cache keeps from one tile of rows to the next.
constexpr int64_t kPanelBytes = 640 << 10;
/// Left rows that are prepared at a time take at most so many bytes, which the next cache keeps beside some panels.
constexpr int64_t kLeftBytes = 1 << 20;
/// Tiles of rows in a block: enough that a matrix is read seldom, and few enough that threads end together.
constexpr int64_t kFewestTiles = 4, kMostTiles = 16;

int64_t blocksOf(int64_t count, int64_t size) { return (count + size - 1) / size; }

/// Scratch memory for `count` rows of a left factor and what a kernel reads behind them.
class LeftRows {
 public:
  LeftRows(int64_t count, int64_t rowBytes)
      : rowBytes_(rowBytes), memory_(blocksOf(count, kDotRowsRead) * kDotRowsRead * rowBytes / 4) {}

  char* row(int64_t index) const { return reinterpret_cast<char*>(memory_.data()) + index * rowBytes_; }

 private:
  int64_t rowBytes_;
  Scratch memory_;
};

/// Rows and columns of a result.
struct Block {
  int64_t firstRow, lastRow, firstColumn, lastColumn;
};

/// How rows and columns of a result are shared by threads.
struct Grid {
  int64_t rows, tileRows, rowBlocks, columns, columnBlocks;

  int64_t size() const { return rowBlocks * columnBlocks; }
  Block block(int64_t index) const {
    const int64_t tiles = blocksOf(rows, tileRows), panels = blocksOf(columns, DotPanels::kColumns);
    const int64_t across = index / columnBlocks, along = index % columnBlocks;
    return {tiles * across / rowBlocks * tileRows, std::min(rows, tiles * (across + 1) / rowBlocks * tileRows),
            panels * along / columnBlocks * DotPanels::kColumns,
            std::min(columns, panels * (along + 1) / columnBlocks * DotPanels::kColumns)};
  }
};

/// Blocks of rows, each of which reads the whole matrix, where there are enough for all threads; else blocks of columns
/// too, which each read all rows.
Grid gridOf(int64_t m, int64_t n, DType dtype, int64_t rowBytes) {
  const int64_t tileRows = dotRows(dtype), tiles = blocksOf(m, tileRows), panels = blocksOf(n, DotPanels::kColumns),
                threads = threadCount();
  const int64_t most = std::clamp(kLeftBytes / (rowBytes * tileRows), kFewestTiles, kMostTiles);
  Grid grid{m, tileRows, blocksOf(tiles, most), n, 1};
  if (threads == 1) return grid;
  if (tiles >= threads * kFewestTiles) {
    grid.rowBlocks = blocksOf(grid.rowBlocks, threads) * threads;
  } else {
    const int64_t blocks = blocksOf(2 * threads, grid.rowBlocks);
    grid.columnBlocks = std::max<int64_t>(1, std::min(panels, blocks));
  }
  return grid;
}

constexpr int64_t kLine = 64;

/// Asks for what will be read or written of `rows` rows of a panel's columns, which lie `distance` bytes apart and
/// begin at `values`: the lines arrive while the panel is multiplied.
void prefetchTile(const void* values, int64_t rows, int64_t distance, int64_t valueBytes, bool isWritten) {
  const auto* line = static_cast<const char*>(values);
  for (int64_t row = 0; row < rows; ++row, line += distance)
    for (int64_t at = 0; at < DotPanels::kColumns * valueBytes; at += kLine)
      isWritten ? __builtin_prefetch(line + at, 1) : __builtin_prefetch(line + at, 0);
}

/// Calls finish(row, rows, column, columns, sums) for each tile of a block's sums, which are kColumnsAtOnce apart, and
/// expect(row, rows, column) before a panel of it is multiplied. `left` is the block's first row, `matrix` the first
/// panel of column 0.
template <typename Expect, typename Finish>
void multiplyTiles(const DotPanels& panels, const void* matrix, const char* left, int64_t rowBytes, const Block& block,
                   const Expect& expect, const Finish& finish) {
  const DotKernel kernel(panels);
  alignas(64) float sums[kMostDotRows * kColumnsAtOnce];
  const int64_t tileRows = dotRows(panels.dtype), panelBytes = panels.panelBytes();
  const int64_t columnsAtOnce = std::clamp<int64_t>(kPanelBytes / panelBytes, 1, kPanelsAtOnce) * DotPanels::kColumns;
  for (int64_t column = block.firstColumn; column < block.lastColumn; column += columnsAtOnce) {
    const int64_t columns = std::min(columnsAtOnce, block.lastColumn - column);
    // The panels behind these are asked for while all rows meet these.
    const int64_t behind = std::clamp<int64_t>(block.lastColumn - column - columns, 0, columnsAtOnce);
    const int64_t products =
        blocksOf(block.lastRow - block.firstRow, tileRows) * blocksOf(columns, DotPanels::kColumns);
    const int64_t bytesBehind = blocksOf(behind, DotPanels::kColumns) * panelBytes;
    const int64_t perStep = blocksOf(blocksOf(bytesBehind, products), panels.steps() * kLine) * kLine;
    const char* panel = static_cast<const char*>(matrix) + column / DotPanels::kColumns * panelBytes;
    const char *ahead = panel + blocksOf(columns, DotPanels::kColumns) * panelBytes, *end = ahead + bytesBehind;
    for (int64_t row = block.firstRow; row < block.lastRow; row += tileRows) {
      const DotRows rows{left + (row - block.firstRow) * rowBytes, rowBytes, std::min(tileRows, block.lastRow - row)};
      for (int64_t at = 0; at < columns; at += DotPanels::kColumns) {
        expect(row, rows.rows, column + at);
        kernel.multiply(rows, panel + at / DotPanels::kColumns * panelBytes, sums + at, kColumnsAtOnce,
                        {ahead, ahead < end ? perStep : 0});
        ahead += perStep * panels.steps();
      }
      finish(row, rows.rows, column, columns, sums);
    }
  }
}

/// Results of so many bytes are written past the caches: they would not stay there until they are read, and reading
/// their lines before writing them takes as long again.
constexpr int64_t kStreamedBytes = int64_t{1} << 23, kStreamBytes = 16;

/// `from` and `to` are aligned to kStreamBytes, and `bytes` is a multiple.
void streamBytes(const void* from, int64_t bytes, void* to) {
#if defined(__x86_64__)
  const auto* source = static_cast<const __m128i*>(from);
  auto* target = static_cast<__m128i*>(to);
  for (int64_t i = 0; i < bytes / kStreamBytes; ++i) _mm_stream_si128(target + i, _mm_load_si128(source + i));
#else
  std::memcpy(to, from, static_cast<size_t>(bytes));
#endif
}

/// Where the rows of a result [m, n] go.
class ResultRows {
 public:
  ResultRows(int64_t m, int64_t n, const FloatWriter& y)
      : y_(y),
        n_(n),
        streams_(m * n * y.bytes() >= kStreamedBytes && n * y.bytes() % kStreamBytes == 0 &&
                 reinterpret_cast<uintptr_t>(y.at(0)) % kStreamBytes == 0) {}

  bool streams() const { return streams_; }
  void expect(int64_t row, int64_t rows, int64_t column) const {
    if (!streams_) prefetchTile(y_.at(row * n_ + column), rows, n_ * y_.bytes(), y_.bytes(), true);
  }
  /// `values` is aligned to a cache line.
  void put(int64_t row, int64_t column, int64_t columns, const float* values) const {
    alignas(64) uint16_t halves[kColumnsAtOnce];
    const void* from = values;
    if (y_.isHalf()) {
      roundToBf16(values, halves, columns);
      from = halves;
    }
    char* to = y_.at(row * n_ + column);
    const int64_t bytes = columns * y_.bytes();
    if (streams_)
      streamBytes(from, bytes, to);
    else
      std::memcpy(to, from, static_cast<size_t>(bytes));
  }

 private:
  const FloatWriter& y_;
  int64_t n_;
  bool streams_;
};

/// Makes what streamBytes wrote visible to other threads in order.
void endStream() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

/// Rows between one that is converted and one that is asked for.
constexpr int64_t kRowsAhead = 2;

/// Rounds or quantises rows [first, last) of x; `to` and `steps` begin with row `first`.
void prepareRows(const FloatReader& x, int64_t first, int64_t last, int64_t k, const DotMatrix& matrix,
                 int64_t rowBytes, char* to, float* steps) {
  if (x.isHalf() && matrix.dtype == DType::bf16) {
    for (int64_t row = first; row < last; ++row, to += rowBytes)
      std::memcpy(to, x.halves() + row * k, static_cast<size_t>(k) * sizeof(uint16_t));
    return;
  }
  const Scratch room(x.isHalf() ? k : 0);
  for (int64_t row = first; row < last; ++row, to += rowBytes) {
    // The lines of a later row arrive while this one is converted.
    if (row + kRowsAhead < last && !x.isHalf())
      for (int64_t i = 0; i < k; i += 16) __builtin_prefetch(x.read((row + kRowsAhead) * k + i, 0, nullptr));
    const float* values = x.read(row * k, k, room);
    if (matrix.dtype == DType::bf16)
      roundToBf16(values, reinterpret_cast<uint16_t*>(to), k);
    else
      steps[row - first] = quantizeRow(values, matrix.rowFactor, k, reinterpret_cast<uint8_t*>(to));
  }
}

HINT_CLONES void storeRow(float beta, float alpha, const float* sums, int64_t count, float* to) {
  if (beta == 0.0f)
    for (int64_t j = 0; j < count; ++j) to[j] = alpha * sums[j];
  else
    for (int64_t j = 0; j < count; ++j) to[j] = alpha * sums[j] + beta * to[j];
}

/// Values along k whose panels dotGemm makes at a time, and bytes along the columns.
constexpr int64_t kAlongAtOnce = 2048, kBytesOfPanels = 8192;

}  // namespace

void dotProduct(int64_t m, int64_t k, int64_t n, const FloatReader& x, const DotMatrix& matrix,
                const Epilogue& epilogue, const FloatWriter& y) {
  const DotPanels panels{k, matrix.dtype};
  const bool isRead = matrix.dtype == DType::f32;
  const int64_t bytes = k * static_cast<int64_t>(sizeOf(matrix.dtype));
  const int64_t rowBytes = isRead ? bytes : dotRowBytes(panels.steps());
  const Grid grid = gridOf(m, n, matrix.dtype, rowBytes);
  const ResultRows results(m, n, y);
  const auto multiply = [&](const Block& block, const char* left, const float* steps) {
    multiplyTiles(
        panels, matrix.values, left, rowBytes, block,
        [&](int64_t row, int64_t rows, int64_t column) {
          results.expect(row, rows, column);
          const FloatReader& residual = epilogue.residual;
          if (residual)
            prefetchTile(residual.at(row * n + column), rows, n * residual.bytes(), residual.bytes(), false);
        },
        [&](int64_t row, int64_t rows, int64_t column, int64_t columns, float* sums) {
          alignas(64) float finished[kColumnsAtOnce];
          for (int64_t i = row; i < row + rows; ++i, sums += kColumnsAtOnce) {
            float* result = matrix.dtype == DType::i8 ? finished : sums;
            const Epilogue end = epilogue.at(i, column, n);
            if (matrix.dtype == DType::i8)
              dequantizeRow(reinterpret_cast<const int32_t*>(sums), columns, steps[i - block.firstRow],
                            matrix.scale + column, matrix.columnSum + column, end, result);
            else
              finishRow(end, columns, result);
            results.put(i, column, columns, result);
          }
        });
    if (results.streams()) endStream();
  };
  if (isRead) {
    const Scratch room(x.isHalf() ? m * k : 0);
    if (x.isHalf())
      parallelFor(m * k, kElementGrain,
                  [&](int64_t begin, int64_t end) { x.read(begin, end - begin, room.data() + begin); });
    const float* floats = x.isHalf() ? room.data() : x.read(0, 0, nullptr);
    parallelItems(grid.size(), [&](int64_t index) {
      const Block block = grid.block(index);
      multiply(block, reinterpret_cast<const char*>(floats + block.firstRow * k), nullptr);
    });
    return;
  }
  if (grid.columnBlocks == 1) {
    parallelItems(grid.rowBlocks, [&](int64_t index) {
      const Block block = grid.block(index);
      const int64_t count = block.lastRow - block.firstRow;
      const LeftRows left(count, rowBytes);
      const Scratch steps(count);
      prepareRows(x, block.firstRow, block.lastRow, k, matrix, rowBytes, left.row(0), steps);
      fillRows(count, bytes, rowBytes, left.row(0));
      multiply(block, left.row(0), steps);
    });
    return;
  }
  const LeftRows left(m, rowBytes);
  const Scratch steps(m);
  parallelFor(m, std::max<int64_t>(1, 16384 / k), [&](int64_t first, int64_t last) {
    prepareRows(x, first, last, k, matrix, rowBytes, left.row(first), steps + first);
  });
  fillRows(m, bytes, rowBytes, left.row(0));
  parallelItems(grid.size(), [&](int64_t index) {
    const Block block = grid.block(index);
    multiply(block, left.row(block.firstRow), steps + block.firstRow);
  });
}

void dotGemm(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, float alpha, const Factor& a,
             int64_t lda, const Factor& b, int64_t ldb, float beta, float* c, int64_t ldc) {
  const DType dtype = a.dtype;
  const auto size = static_cast<int64_t>(sizeOf(dtype));
  const int64_t columnsAtOnce = kBytesOfPanels / size;
  const bool isRead = dtype == DType::f32 && !transposeA;
  for (int64_t at = 0; at < k; at += kAlongAtOnce) {
    const int64_t along = std::min(kAlongAtOnce, k - at);
    const float keep = at == 0 ? beta : 1.0f;
    const DotPanels panels{along, dtype};
    const int64_t rowBytes = isRead ? lda * size : dotRowBytes(panels.steps());
    const DotSource left{a.from(transposeA ? at * lda : at).values, !transposeA, lda};
    for (int64_t column = 0; column < n; column += columnsAtOnce) {
      const int64_t columns = std::min(columnsAtOnce, n - column);
      const DotSource right{b.from(transposeB ? column * ldb + at : at * ldb + column).values, transposeB, ldb};
      const Scratch matrix(panels.bytes(columns) / 4);
      parallelFor(blocksOf(columns, DotPanels::kColumns), 4, [&](int64_t first, int64_t last) {
        arrangePanels(right, panels, columns, first * DotPanels::kColumns, last * DotPanels::kColumns, matrix.data());
      });
      const Grid grid = gridOf(m, columns, dtype, rowBytes);
      const auto multiply = [&](const Block& block, const char* rows) {
        multiplyTiles(
            panels, matrix.data(), rows, rowBytes, block,
            [&](int64_t row, int64_t many, int64_t from) {
              constexpr int64_t kFloat = sizeof(float);
              prefetchTile(c + row * ldc + column + from, many, ldc * kFloat, kFloat, true);
            },
            [&](int64_t row, int64_t many, int64_t from, int64_t width, const float* sums) {
              for (int64_t i = row; i < row + many; ++i, sums += kColumnsAtOnce)
                storeRow(keep, alpha, sums, width, c + i * ldc + column + from);
            });
      };
      parallelItems(grid.size(), [&](int64_t index) {
        const Block block = grid.block(index);
        if (isRead) return multiply(block, static_cast<const char*>(left.values) + block.firstRow * rowBytes);
        const int64_t count = block.lastRow - block.firstRow;
        const LeftRows rows(count, rowBytes);
        arrangeRows(left, dtype, block.firstRow, count, along, rows.row(0));
        multiply(block, rows.row(0));
      });
    }
  }
}

}  // namespace hint
