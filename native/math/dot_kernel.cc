#include "native/math/dot_kernel.h"

#include "native/core/error.h"
#include "native/math/instructions.h"
#include "native/math/tile_product.h"
#include "native/runtime/parallel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HINT_TILES __attribute__((target("amx-tile,amx-int8,amx-bf16")))
#define HINT_HALVES __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define HINT_BYTES __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#endif

namespace hint {
namespace {

/// Depths that are summed in registers before they are added to a result.
constexpr int64_t kFloatsAtOnce = 512;

void multiplyFloats(const DotRows& left, const void* panel, int64_t k, void* sums, int64_t width, const DotAhead&) {
  constexpr int64_t kColumns = DotPanels::kColumns;
  multiplyTile({left.rows, kColumns / kTileColumns, k, static_cast<const float*>(left.values),
                left.rowBytes / static_cast<int64_t>(sizeof(float)), 1, static_cast<const float*>(panel), kColumns,
                kTileColumns, static_cast<float*>(sums), width, false, kFloatsAtOnce});
}

}  // namespace

#if defined(__x86_64__)

namespace {

constexpr int64_t kColumns = DotPanels::kColumns, kStepBytes = DotPanels::kStepBytes, kGroups = DotPanels::kGroups;
/// Bytes of one group and of one step of a panel.
constexpr int64_t kPanelRow = kColumns * DotPanels::kGroupBytes, kPanelStep = kGroups * kPanelRow;

/// What LDTILECFG reads: eight tiles of sixteen rows of 64 bytes.
struct alignas(64) TileSettings {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

HINT_TILES void takeTiles() {
  static constexpr TileSettings settings;
  _tile_loadconfig(&settings);
}

HINT_TILES void releaseTiles() { _tile_release(); }

// Tiles 0 to 3 hold sums, 4 and 5 left rows, 6 and 7 the panel.
#define HINT_MULTIPLY_TILES(name, dotProduct)                                                            \
  HINT_TILES void name(const DotRows& left, const void* panel, int64_t steps, void* sums, int64_t width, \
                       const DotAhead& ahead) {                                                          \
    const auto* a = static_cast<const char*>(left.values);                                               \
    const auto* b = static_cast<const char*>(panel);                                                     \
    auto* c = static_cast<char*>(sums);                                                                  \
    const auto* next = static_cast<const char*>(ahead.values);                                           \
    const int64_t perStep = ahead.bytesPerStep;                                                          \
    const int64_t rowBytes = left.rowBytes, sumBytes = width * 4;                                        \
    _tile_zero(0);                                                                                       \
    _tile_zero(1);                                                                                       \
    if (left.rows <= kDotRowsRead) {                                                                     \
      for (int64_t step = 0; step < steps; ++step, a += kStepBytes, b += kPanelStep) {                   \
        for (const char* end = next + perStep; next < end; next += 64) __builtin_prefetch(next, 0, 2);   \
        _tile_loadd(4, a, rowBytes);                                                                     \
        _tile_loadd(6, b, kPanelRow);                                                                    \
        dotProduct(0, 4, 6);                                                                             \
        _tile_loadd(7, b + 64, kPanelRow);                                                               \
        dotProduct(1, 4, 7);                                                                             \
      }                                                                                                  \
    } else {                                                                                             \
      const int64_t below = kDotRowsRead * rowBytes;                                                     \
      _tile_zero(2);                                                                                     \
      _tile_zero(3);                                                                                     \
      for (int64_t step = 0; step < steps; ++step, a += kStepBytes, b += kPanelStep) {                   \
        for (const char* end = next + perStep; next < end; next += 64) __builtin_prefetch(next, 0, 2);   \
        _tile_loadd(6, b, kPanelRow);                                                                    \
        _tile_loadd(4, a, rowBytes);                                                                     \
        dotProduct(0, 4, 6);                                                                             \
        _tile_loadd(5, a + below, rowBytes);                                                             \
        dotProduct(2, 5, 6);                                                                             \
        _tile_loadd(7, b + 64, kPanelRow);                                                               \
        dotProduct(1, 4, 7);                                                                             \
        dotProduct(3, 5, 7);                                                                             \
      }                                                                                                  \
      _tile_stored(2, c + kDotRowsRead * sumBytes, sumBytes);                                            \
      _tile_stored(3, c + kDotRowsRead * sumBytes + 64, sumBytes);                                       \
    }                                                                                                    \
    _tile_stored(0, c, sumBytes);                                                                        \
    _tile_stored(1, c + 64, sumBytes);                                                                   \
  }

HINT_MULTIPLY_TILES(multiplyHalfTiles, _tile_dpbf16ps)
HINT_MULTIPLY_TILES(multiplyByteTiles, _tile_dpbusd)

#undef HINT_MULTIPLY_TILES

struct Halves {
  using Sum = __m512;
  static HINT_HALVES HINT_INLINE Sum zero() { return _mm512_setzero_ps(); }
  static HINT_HALVES HINT_INLINE void store(void* to, Sum sum) { _mm512_storeu_ps(to, sum); }
  static HINT_HALVES HINT_INLINE Sum add(Sum sum, __m512i left, __m512i right) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(left), reinterpret_cast<__m512bh>(right));
  }
};

struct Bytes {
  using Sum = __m512i;
  static HINT_BYTES HINT_INLINE Sum zero() { return _mm512_setzero_si512(); }
  static HINT_BYTES HINT_INLINE void store(void* to, Sum sum) { _mm512_storeu_si512(to, sum); }
  static HINT_BYTES HINT_INLINE Sum add(Sum sum, __m512i left, __m512i right) {
    return _mm512_dpbusd_epi32(sum, left, right);
  }
};

// A template cannot have an attribute that depends on its argument, so the body is written once for both targets.
#define HINT_MULTIPLY_VECTORS(name, Values, TARGET)                                                              \
  template <int Rows>                                                                                            \
  TARGET HINT_INLINE void name##Rows(const char* a, int64_t rowBytes, const char* b, int64_t groups, char* sums, \
                                     int64_t sumBytes) {                                                         \
    Values::Sum low[Rows], high[Rows];                                                                           \
    _Pragma("GCC unroll 8") for (int r = 0; r < Rows; ++r) low[r] = high[r] = Values::zero();                    \
    for (int64_t group = 0; group < groups; ++group, a += DotPanels::kGroupBytes, b += kPanelRow) {              \
      const __m512i first = _mm512_loadu_si512(b), second = _mm512_loadu_si512(b + 64);                          \
      _Pragma("GCC unroll 8") for (int r = 0; r < Rows; ++r) {                                                   \
        int32_t four;                                                                                            \
        __builtin_memcpy(&four, a + r * rowBytes, sizeof(four));                                                 \
        const __m512i left = _mm512_set1_epi32(four);                                                            \
        low[r] = Values::add(low[r], left, first);                                                               \
        high[r] = Values::add(high[r], left, second);                                                            \
      }                                                                                                          \
    }                                                                                                            \
    _Pragma("GCC unroll 8") for (int r = 0; r < Rows; ++r) {                                                     \
      Values::store(sums + r * sumBytes, low[r]);                                                                \
      Values::store(sums + r * sumBytes + 64, high[r]);                                                          \
    }                                                                                                            \
  }                                                                                                              \
  TARGET void name(const DotRows& left, const void* panel, int64_t steps, void* sums, int64_t width,             \
                   const DotAhead&) {                                                                            \
    const auto* a = static_cast<const char*>(left.values);                                                       \
    const auto* b = static_cast<const char*>(panel);                                                             \
    auto* c = static_cast<char*>(sums);                                                                          \
    const int64_t rowBytes = left.rowBytes, sumBytes = width * 4, groups = steps * kGroups;                      \
    int64_t row = 0;                                                                                             \
    const auto next = [&](int64_t rows) {                                                                        \
      row += rows;                                                                                               \
      a += rows * rowBytes;                                                                                      \
      c += rows * sumBytes;                                                                                      \
    };                                                                                                           \
    for (; row + 8 <= left.rows; next(8)) name##Rows<8>(a, rowBytes, b, groups, c, sumBytes);                    \
    for (; row + 4 <= left.rows; next(4)) name##Rows<4>(a, rowBytes, b, groups, c, sumBytes);                    \
    for (; row < left.rows; next(1)) name##Rows<1>(a, rowBytes, b, groups, c, sumBytes);                         \
  }

HINT_MULTIPLY_VECTORS(multiplyHalfVectors, Halves, HINT_HALVES)
HINT_MULTIPLY_VECTORS(multiplyByteVectors, Bytes, HINT_BYTES)

#undef HINT_MULTIPLY_VECTORS

/// Linux gives a process the tiles' registers when it asks, which every thread has then.
bool hasTiles() {
  static const bool has = [] {
    constexpr long kRequestFeature = 0x1023, kTileData = 18;
    return supports(Instructions::amx) && syscall(SYS_arch_prctl, kRequestFeature, kTileData) == 0;
  }();
  return has;
}

}  // namespace

DotKernel::DotKernel(const DotPanels& panels)
    : multiply_(multiplyFloats), along_(panels.k), usesTiles_(panels.dtype != DType::f32 && hasTiles()) {
  if (panels.dtype == DType::f32) return;
  along_ = panels.steps();
  const bool isHalf = panels.dtype == DType::bf16;
  if (!usesTiles_) {
    multiply_ = isHalf ? multiplyHalfVectors : multiplyByteVectors;
    return;
  }
  multiply_ = isHalf ? multiplyHalfTiles : multiplyByteTiles;
  takeTiles();
}

DotKernel::~DotKernel() {
  if (usesTiles_) releaseTiles();
}

bool hasDotProducts(DType dtype) {
  if (dtype == DType::f32) return true;
  return supports(dtype == DType::bf16 ? Instructions::avx512Bf16 : Instructions::avx512Vnni);
}

#else

DotKernel::DotKernel(const DotPanels& panels) : multiply_(multiplyFloats), along_(panels.k), usesTiles_(false) {
  if (panels.dtype != DType::f32) fail("INTERNAL", "This processor has no dot products that the engine knows.");
}

DotKernel::~DotKernel() = default;

bool hasDotProducts(DType dtype) { return dtype == DType::f32; }

#endif

}  // namespace hint
