#pragma once

#include "native/runtime/cuda/device.cuh"

/// Sums over the rows of a matrix whose elements are computed on the fly, in the same order in every run.
namespace hint::cuda {
namespace detail {

constexpr int kColumns = 32, kRowLanes = 8;

template <typename Body>
__global__ void columnPartials(int64_t rows, int64_t columns, int64_t rowsPerPart, Body body, float* partial) {
  __shared__ float sums[kRowLanes][kColumns + 1];
  const int64_t column = int64_t{blockIdx.x} * kColumns + threadIdx.x;
  const int64_t begin = int64_t{blockIdx.y} * rowsPerPart, end = min(rows, begin + rowsPerPart);
  float sum = 0;
  if (column < columns)
    for (int64_t row = begin + threadIdx.y; row < end; row += kRowLanes) sum += body(row, column);
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || column >= columns) return;
  for (int lane = 1; lane < kRowLanes; ++lane) sum += sums[lane][threadIdx.x];
  partial[int64_t{blockIdx.y} * columns + column] = sum;
}

}  // namespace detail

/// finish(column, sum over rows of body(row, column)), with the sum over parts in double.
template <typename Body, typename Finish>
void columnSums(int64_t rows, int64_t columns, Body body, Finish finish) {
  if (columns == 0) return;
  // Parts are long enough to repay their place in the second pass and short enough to fill the device.
  constexpr int64_t kRowsPerPart = 128;
  const int64_t rowsPerPart = rows > 60000 * kRowsPerPart ? (rows + 59999) / 60000 : kRowsPerPart;
  const int64_t parts = (rows + rowsPerPart - 1) / rowsPerPart;
  Scratch<float> partial(parts * columns);
  const float* sums = partial;
  if (parts > 0) {
    const dim3 grid(static_cast<unsigned>((columns + detail::kColumns - 1) / detail::kColumns),
                    static_cast<unsigned>(parts));
    detail::columnPartials<<<grid, dim3(detail::kColumns, detail::kRowLanes), 0, Context::current().stream()>>>(
        rows, columns, rowsPerPart, body, partial.get());
    launched();
  }
  each(columns, [=] __device__(int64_t column) {
    double total = 0;
    for (int64_t part = 0; part < parts; ++part) total += sums[part * columns + column];
    finish(column, static_cast<float>(total));
  });
}

}  // namespace hint::cuda
