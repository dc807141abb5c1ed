#include "native/ops/adafactor/cuda.cuh"

namespace hint {
namespace adafactor {
namespace {

constexpr int kBlock = 1024;

/// Updates a small tensor in one block, whose passes find it in the cache.
struct Small {
  int64_t rows, columns;
  float *row, *column;
};

template <typename T>
__device__ double squaresOf(const Update<T>& u) {
  if (!u.scaled) return 0;
  float sum = 0;
  for (int64_t i = threadIdx.x; i < u.count; i += kBlock) sum += load(u.parameter + i) * load(u.parameter + i);
  return blockSum(static_cast<double>(sum));
}

template <typename T>
__global__ void __launch_bounds__(kBlock) updateFullSmall(Update<T> u, float* moment) {
  float squares = 0;
  for (int64_t i = threadIdx.x; i < u.count; i += kBlock) {
    const float g = u.gradient[i] * u.gradientScale;
    const float v = floored(u.mixed(moment[i], u.squareOf(u.gradient[i])));
    moment[i] = v;
    squares += g * g / v;
  }
  const double parameterSquares = squaresOf(u), updateSquares = blockSum(static_cast<double>(squares));
  const float step = u.step(parameterSquares, updateSquares);
  for (int64_t i = threadIdx.x; i < u.count; i += kBlock)
    u.subtract(i, step * (u.gradient[i] * u.gradientScale * (1.0f / sqrtf(moment[i]))));
}

template <typename T>
__device__ void updateRows(const Update<T>& u, const Small& m) {
  for (int64_t row = threadIdx.x / 32; row < m.rows; row += kBlock / 32) {
    float sum = 0;
    for (int64_t j = threadIdx.x % 32; j < m.columns; j += 32) sum += u.squareOf(u.gradient[row * m.columns + j]);
    sum = warpSum(sum);
    if (threadIdx.x % 32 == 0) m.row[row] = u.mixed(m.row[row], sum / static_cast<float>(m.columns));
  }
}

/// Consecutive threads have one column each; groups of threads take the rows in turn.
template <typename T>
__device__ void updateColumns(const Update<T>& u, const Small& m) {
  __shared__ float sums[kBlock];
  const int width = static_cast<int>(min(m.columns, int64_t{kBlock})), groups = kBlock / width;
  const int group = threadIdx.x / width, place = threadIdx.x % width;
  for (int64_t base = 0; base < m.columns; base += width) {
    const int64_t j = base + place;
    float sum = 0;
    if (group < groups && j < m.columns)
      for (int64_t row = group; row < m.rows; row += groups) sum += u.squareOf(u.gradient[row * m.columns + j]);
    __syncthreads();  // the values of the last columns have been read
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (group > 0 || j >= m.columns) continue;
    double total = 0;
    for (int g = 0; g < groups; ++g) total += sums[g * width + place];
    m.column[j] = u.mixed(m.column[j], static_cast<float>(total / static_cast<double>(m.rows)));
  }
}

template <typename T>
__global__ void __launch_bounds__(kBlock) updateFactoredSmall(Update<T> u, Small m) {
  updateRows(u, m);
  updateColumns(u, m);
  __syncthreads();
  double moments = 0;
  for (int64_t row = threadIdx.x; row < m.rows; row += kBlock) moments += m.row[row];
  const float mean = floored(static_cast<float>(blockSum(moments) / static_cast<double>(m.rows)));
  const auto unclipped = [&](int64_t i) {
    return u.gradient[i] * u.rowFactor(m.row[i / m.columns], mean) * u.columnFactor(m.column[i % m.columns]);
  };
  float squares = 0;
  if (u.clips())
    for (int64_t i = threadIdx.x; i < u.count; i += kBlock) squares += unclipped(i) * unclipped(i);
  const double parameterSquares = squaresOf(u), updateSquares = blockSum(static_cast<double>(squares));
  const float step = u.step(parameterSquares, updateSquares);
  for (int64_t i = threadIdx.x; i < u.count; i += kBlock) u.subtract(i, step * unclipped(i));
}

template <typename T>
void updateSmall(const Call& call, const Update<T>& update) {
  cudaStream_t stream = Context::current().stream();
  if (call.has(kFullMoment)) {
    updateFullSmall<<<1, kBlock, 0, stream>>>(update, dataOf<float>(call.in(kFullMoment)));
  } else {
    const Small moments{call.dim("rows"), call.dim("columns"), dataOf<float>(call.in(kRowMoment)),
                        dataOf<float>(call.in(kColumnMoment))};
    updateFactoredSmall<<<1, kBlock, 0, stream>>>(update, moments);
  }
  launched();
}

void forwardCuda(Call& call) {
  if (call.dim("n") == 0) return;
  byType(call.in(kParameter).dtype, [&](auto type) {
    const Update<decltype(type)> update(call);
    if (update.count <= kSmall)
      updateSmall(call, update);
    else if (call.has(kFullMoment))
      updateFull(call, update);
    else
      updateFactored(call, update);
  });
}

}  // namespace
}  // namespace adafactor

Kernels cuda_adafactor() { return {adafactor::forwardCuda, nullptr}; }

}  // namespace hint
