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

template <typename Finish>
__global__ void partSums(const float* partial, int64_t parts, int64_t columns, Finish finish) {
  __shared__ double sums[kRowLanes][kColumns + 1];
  const int64_t column = int64_t{blockIdx.x} * kColumns + threadIdx.x;
  double total = 0;
  if (column < columns)
    for (int64_t part = threadIdx.y; part < parts; part += kRowLanes) total += partial[part * columns + column];
  sums[threadIdx.y][threadIdx.x] = total;
  __syncthreads();
  if (threadIdx.y > 0 || column >= columns) return;
  for (int lane = 1; lane < kRowLanes; ++lane) total += sums[lane][threadIdx.x];
  finish(column, static_cast<float>(total));
}

}  // namespace detail

/// A `finish` that stores gradient = beta * gradient + alpha * sum.
template <typename T>
struct StoreColumn {
  T* gradient;
  float beta, alpha = 1.0f;
  __device__ void operator()(int64_t column, float sum) const { store(gradient + column, beta, alpha * sum); }
};

/// finish(column, sum over parts of partial [parts, columns]), in double.
template <typename Finish>
void sumOfParts(const float* partial, int64_t parts, int64_t columns, Finish finish) {
  if (columns == 0) return;
  const auto blocks = static_cast<unsigned>((columns + detail::kColumns - 1) / detail::kColumns);
  detail::partSums<<<blocks, dim3(detail::kColumns, detail::kRowLanes), 0, Context::current().stream()>>>(
      partial, parts, columns, finish);
  launched();
}

/// finish(column, sum over rows of body(row, column)), with the sum over parts in double.
template <typename Body, typename Finish>
void columnSums(int64_t rows, int64_t columns, Body body, Finish finish) {
  if (columns == 0) return;
  // Parts are short enough to fill a device, and long enough that their second pass is small.
  constexpr int64_t kRowsPerPart = 128;
  const int64_t rowsPerPart = rows > 60000 * kRowsPerPart ? (rows + 59999) / 60000 : kRowsPerPart;
  const int64_t parts = (rows + rowsPerPart - 1) / rowsPerPart;
  const Scratch<float> partial(parts * columns);
  if (parts > 0) {
    const dim3 grid(static_cast<unsigned>((columns + detail::kColumns - 1) / detail::kColumns),
                    static_cast<unsigned>(parts));
    detail::columnPartials<<<grid, dim3(detail::kColumns, detail::kRowLanes), 0, Context::current().stream()>>>(
        rows, columns, rowsPerPart, body, partial.get());
    launched();
  }
  sumOfParts(partial, parts, columns, finish);
}

}  // namespace hint::cuda
