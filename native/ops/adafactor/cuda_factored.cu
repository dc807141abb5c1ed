#include "native/ops/adafactor/cuda.cuh"

namespace hint::adafactor {
namespace {

/// A block works on kStrip columns of up to kMostRows rows, a warp on one row after the other, a lane on eight columns.
constexpr int kStrip = 32 * kEight, kMostRows = 128;

static_assert(kStrip == kThreads && kMostRows <= kThreads, "sums are finished by a thread per column, and per row");

/// Division of a matrix among blocks: parts of `rowsPerPart` rows by strips of columns. Block `part * strips + strip`.
struct Tiling {
  int64_t rows, columns, rowsPerPart, parts, strips;

  Tiling(int64_t rows, int64_t columns) : rows(rows), columns(columns), strips((columns + kStrip - 1) / kStrip) {
    // A block has few rows when otherwise there were too few blocks to fill a device.
    constexpr int64_t kFewRows = 16, kBlocks = 1024;
    const int64_t wanted = rows * strips / kBlocks;
    rowsPerPart = wanted < kFewRows ? kFewRows : wanted > kMostRows ? kMostRows : wanted / kWarps * kWarps;
    parts = (rows + rowsPerPart - 1) / rowsPerPart;
  }
  HINT_HOST_DEVICE int64_t blocks() const { return parts * strips; }
};

/// Device memory of a factored update. Each block writes its sums, and the last block that finishes adds them up.
struct Moments {
  float *row, *column;
  float* rowSums;       ///< [strips, rows] of the squares
  float* columnSums;    ///< [parts, columns] of the squares
  float* columnFactor;  ///< [columns]
  double* squares;      ///< [blocks] of the parameter, then of the unclipped update
  double* momentSums;   ///< [parts] of the row moments
  double* totals;       ///< see Total
  float* step;
  uint32_t* arrived;  ///< zero between launches: a counter per strip, one per part, one of all
};
enum Total { kParameterSquares, kRowMoments, kTotals };

/// A lane's eight columns: consecutive, or 32 apart when addresses do not allow loads of 16 bytes.
template <bool kVector>
struct Columns {
  int64_t first, count;

  __device__ Columns(const Tiling& tiling, int64_t strip)
      : first(strip * kStrip + threadIdx.x % 32 * (kVector ? kEight : 1)), count(tiling.columns) {}
  __device__ int64_t operator[](int k) const { return first + k * (kVector ? 1 : 32); }
  __device__ bool has(int k) const { return (*this)[kVector ? 0 : k] < count; }
  /// The element, or zero beyond the last column.
  template <typename T>
  __device__ Eight load(const T* row) const {
    Eight value{};
    if constexpr (kVector) {
      if (has(0)) value = loadEight(row + first);
    } else {
#pragma unroll
      for (int k = 0; k < kEight; ++k)
        if (has(k)) value.v[k] = cuda::load(row + (*this)[k]);
    }
    return value;
  }
};

/// The rows and columns of a block.
struct Place {
  int64_t part, strip, begin, end;  ///< rows [begin, end)

  __device__ explicit Place(const Tiling& t)
      : part(blockIdx.x / t.strips),
        strip(blockIdx.x % t.strips),
        begin(part * t.rowsPerPart),
        end(min(t.rows, begin + t.rowsPerPart)) {}
};

/// First launch: the moments, and the squares of the parameter.
template <typename T, bool kVector>
__global__ void __launch_bounds__(kThreads) updateMoments(Update<T> u, Tiling t, Moments m) {
  __shared__ float columnSums[kWarps][kStrip];
  const Place at(t);
  const int warp = threadIdx.x / 32;
  const Columns<kVector> columns(t, at.strip);
  Eight sums{};
  float squares = 0;
#pragma unroll 2
  for (int64_t row = at.begin + warp; row < at.end; row += kWarps) {
    const Eight g = columns.load(u.gradient + row * t.columns);
    Eight p{};
    if (u.scaled) p = columns.load(u.parameter + row * t.columns);
    float sum = 0;
#pragma unroll
    for (int k = 0; k < kEight; ++k) {
      const float square = columns.has(k) ? u.squareOf(g.v[k]) : 0.0f;
      sums.v[k] += square;
      sum += square;
      squares += p.v[k] * p.v[k];
    }
    sum = warpSum(sum);
    if (threadIdx.x % 32 == 0) m.rowSums[at.strip * t.rows + row] = sum;
  }
#pragma unroll
  for (int k = 0; k < kEight; ++k) columnSums[warp][columns[k] - at.strip * kStrip] = sums.v[k];
  const double blockSquares = blockSum(static_cast<double>(squares));
  if (threadIdx.x == 0) m.squares[blockIdx.x] = blockSquares;
  const int64_t column = at.strip * kStrip + threadIdx.x;
  if (column < t.columns) {
    float sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += columnSums[w][threadIdx.x];
    m.columnSums[at.part * t.columns + column] = sum;
  }

  if (isLastBlock(m.arrived + at.strip, t.parts) && column < t.columns) {
    double sum = 0;
#pragma unroll 8
    for (int64_t part = 0; part < t.parts; ++part) sum += __ldcg(m.columnSums + part * t.columns + column);
    const float moment = u.mixed(m.column[column], static_cast<float>(sum / static_cast<double>(t.rows)));
    m.column[column] = moment;
    m.columnFactor[column] = u.columnFactor(moment);
  }
  if (!isLastBlock(m.arrived + t.strips + at.part, t.strips)) return;
  double moments = 0;
  const int64_t row = at.begin + threadIdx.x;
  if (row < at.end) {
    double sum = 0;
#pragma unroll 8
    for (int64_t strip = 0; strip < t.strips; ++strip) sum += __ldcg(m.rowSums + strip * t.rows + row);
    const float moment = u.mixed(m.row[row], static_cast<float>(sum / static_cast<double>(t.columns)));
    m.row[row] = moment;
    moments = moment;
  }
  moments = blockSum(moments);
  if (threadIdx.x == 0) m.momentSums[at.part] = moments;
  if (!isLastBlock(m.arrived + t.strips + t.parts, t.parts)) return;
  const double total = sumOfOthers(m.momentSums, t.parts), parameterSquares = sumOfOthers(m.squares, t.blocks());
  if (threadIdx.x > 0) return;
  m.totals[kRowMoments] = total;
  m.totals[kParameterSquares] = parameterSquares;
  // Without clipping the step size needs no sum over the update.
  *m.step = u.step(parameterSquares, 0.0);
}

/// Computes the factors of a block's rows into `factors`, which holds kMostRows. For the launches after the first.
template <typename T>
__device__ void findRowFactors(const Update<T>& u, const Tiling& t, const Moments& m, const Place& at, float* factors) {
  const float mean = floored(static_cast<float>(m.totals[kRowMoments] / static_cast<double>(t.rows)));
  const int64_t row = at.begin + threadIdx.x;
  if (row < at.end) factors[threadIdx.x] = u.rowFactor(m.row[row], mean);
  __syncthreads();
}

/// Second launch, only when updates are clipped: the squares of the unclipped update.
template <typename T, bool kVector>
__global__ void __launch_bounds__(kThreads) sumUpdates(Update<T> u, Tiling t, Moments m) {
  __shared__ float rowFactors[kMostRows];
  const Place at(t);
  const Columns<kVector> columns(t, at.strip);
  findRowFactors(u, t, m, at, rowFactors);
  const Eight columnFactors = columns.load(m.columnFactor);
  float squares = 0;
#pragma unroll 4
  for (int64_t row = at.begin + threadIdx.x / 32; row < at.end; row += kWarps) {
    const Eight g = columns.load(u.gradient + row * t.columns);
    const float rowFactor = rowFactors[row - at.begin];
#pragma unroll
    for (int k = 0; k < kEight; ++k) {
      const float y = g.v[k] * rowFactor * columnFactors.v[k];
      squares += y * y;
    }
  }
  const double sum = blockSum(static_cast<double>(squares));
  if (threadIdx.x == 0) m.squares[blockIdx.x] = sum;
  if (!isLastBlock(m.arrived, t.blocks())) return;
  const double updateSquares = sumOfOthers(m.squares, t.blocks());
  if (threadIdx.x == 0) *m.step = u.step(m.totals[kParameterSquares], updateSquares);
}

/// Last launch: updates the parameter.
template <typename T, bool kVector>
__global__ void __launch_bounds__(kThreads) updateParameter(Update<T> u, Tiling t, Moments m) {
  __shared__ float rowFactors[kMostRows];
  const Place at(t);
  const Columns<kVector> columns(t, at.strip);
  findRowFactors(u, t, m, at, rowFactors);
  const Eight columnFactors = columns.load(m.columnFactor);
  const float step = *m.step;
#pragma unroll 2
  for (int64_t row = at.begin + threadIdx.x / 32; row < at.end; row += kWarps) {
    const Eight g = columns.load(u.gradient + row * t.columns);
    const float rowFactor = rowFactors[row - at.begin];
    const int64_t first = row * t.columns;
    if constexpr (kVector) {
      if (!columns.has(0)) continue;
      Eight p = loadEight(u.parameter + first + columns[0]);
#pragma unroll
      for (int k = 0; k < kEight; ++k) p.v[k] -= step * (g.v[k] * rowFactor * columnFactors.v[k]);
      roundEight(u.rounding, p, first + columns[0]);
      putEight(u.parameter + first + columns[0], p);
    } else {
#pragma unroll
      for (int k = 0; k < kEight; ++k)
        if (columns.has(k)) u.subtract(first + columns[k], step * (g.v[k] * rowFactor * columnFactors.v[k]));
    }
  }
}

template <typename T, bool kVector>
void launchAll(const Update<T>& update, const Tiling& tiling, const Moments& moments) {
  const auto blocks = static_cast<unsigned>(tiling.blocks());
  cudaStream_t stream = Context::current().stream();
  updateMoments<T, kVector><<<blocks, kThreads, 0, stream>>>(update, tiling, moments);
  launched();
  if (update.clips()) {
    sumUpdates<T, kVector><<<blocks, kThreads, 0, stream>>>(update, tiling, moments);
    launched();
  }
  updateParameter<T, kVector><<<blocks, kThreads, 0, stream>>>(update, tiling, moments);
  launched();
}

}  // namespace

template <typename T>
void updateFactored(const Call& call, const Update<T>& update) {
  const Tiling tiling(call.dim("rows"), call.dim("columns"));
  const Scratch<float> sums(tiling.strips * tiling.rows + tiling.parts * tiling.columns + tiling.strips * kStrip + 1);
  const Scratch<double> totals(tiling.blocks() + tiling.parts + kTotals);
  Moments m;
  m.row = dataOf<float>(call.in(kRowMoment));
  m.column = dataOf<float>(call.in(kColumnMoment));
  // First in scratch memory, because it is read eight at a time and only the start is aligned.
  m.columnFactor = sums;
  m.rowSums = m.columnFactor + tiling.strips * kStrip;
  m.columnSums = m.rowSums + tiling.strips * tiling.rows;
  m.step = m.columnSums + tiling.parts * tiling.columns;
  m.squares = totals;
  m.momentSums = m.squares + tiling.blocks();
  m.totals = m.momentSums + tiling.parts;
  m.arrived = Context::current().counters(tiling.strips + tiling.parts + 1);
  if (tiling.columns % kEight == 0 && isAligned(update.parameter) && isAligned(update.gradient))
    launchAll<T, true>(update, tiling, m);
  else
    launchAll<T, false>(update, tiling, m);
}

template void updateFactored(const Call&, const Update<float>&);
template void updateFactored(const Call&, const Update<bf16>&);

}  // namespace hint::adafactor
