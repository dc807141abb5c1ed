#include "native/ops/adafactor/cuda.cuh"

namespace hint::adafactor {
namespace {

/// Elements of a block: a multiple of what its threads process at once, and few enough that the blocks fill a device.
struct Pieces {
  int64_t count, size;

  explicit Pieces(int64_t count) : count(count) {
    constexpr int64_t kStep = kThreads * kEight, kMost = 16, kBlocks = 1024;
    const int64_t wanted = count / (kStep * kBlocks);
    size = kStep * (wanted < 1 ? 1 : wanted > kMost ? kMost : wanted);
  }
  int64_t blocks() const { return (count + size - 1) / size; }
  /// Visits the block's elements: with `kVector` groups of consecutive elements, then single ones at the end.
  template <bool kVector, typename Group, typename Single>
  __device__ void each(const Group& group, const Single& single) const {
    const int64_t begin = blockIdx.x * size, end = min(count, begin + size);
    int64_t singles = begin;
    if constexpr (kVector) {
      singles = begin + (end - begin) / kEight * kEight;
      for (int64_t i = begin + threadIdx.x * kEight; i < singles; i += kThreads * kEight) group(i);
    }
    for (int64_t i = singles + threadIdx.x; i < end; i += kThreads) single(i);
  }
};

struct Sums {
  double *parameter, *update;  ///< [blocks] of the squares
  float* step;
  uint32_t* arrived;  ///< zero between launches
};

/// First launch: the moments, and the squares of the parameter and of the unclipped update.
template <typename T, bool kVector>
__global__ void __launch_bounds__(kThreads) updateMoments(Update<T> u, float* moment, Pieces pieces, Sums sums) {
  float parameterSquares = 0, updateSquares = 0;
  const auto next = [&](float gradient, float& value) {
    value = floored(u.mixed(value, u.squareOf(gradient)));
    const float g = gradient * u.gradientScale;
    updateSquares += g * g / value;
  };
  pieces.each<kVector>(
      [&](int64_t i) {
        const Eight g = loadEight(u.gradient + i);
        Eight v = loadEight(moment + i), p{};
        if (u.scaled) p = loadEight(u.parameter + i);
#pragma unroll
        for (int k = 0; k < kEight; ++k) {
          next(g.v[k], v.v[k]);
          parameterSquares += p.v[k] * p.v[k];
        }
        putEight(moment + i, v);
      },
      [&](int64_t i) {
        next(u.gradient[i], moment[i]);
        if (u.scaled) parameterSquares += load(u.parameter + i) * load(u.parameter + i);
      });
  const double parameter = blockSum(static_cast<double>(parameterSquares));
  const double update = blockSum(static_cast<double>(updateSquares));
  if (threadIdx.x == 0) {
    sums.parameter[blockIdx.x] = parameter;
    sums.update[blockIdx.x] = update;
  }
  if (!isLastBlock(sums.arrived, gridDim.x)) return;
  const double allParameter = sumOfOthers(sums.parameter, gridDim.x), all = sumOfOthers(sums.update, gridDim.x);
  if (threadIdx.x == 0) *sums.step = u.step(allParameter, all);
}

/// Second launch: updates the parameter.
template <typename T, bool kVector>
__global__ void __launch_bounds__(kThreads)
    updateParameter(Update<T> u, const float* moment, Pieces pieces, const float* stepSize) {
  const float step = *stepSize;
  const auto by = [&](float gradient, float v) { return step * (gradient * u.gradientScale * (1.0f / sqrtf(v))); };
  pieces.each<kVector>(
      [&](int64_t i) {
        const Eight g = loadEight(u.gradient + i), v = loadEight(moment + i);
        Eight p = loadEight(u.parameter + i);
#pragma unroll
        for (int k = 0; k < kEight; ++k) p.v[k] -= by(g.v[k], v.v[k]);
        roundEight(u.rounding, p, i);
        putEight(u.parameter + i, p);
      },
      [&](int64_t i) { u.subtract(i, by(u.gradient[i], moment[i])); });
}

template <typename T, bool kVector>
void launchAll(const Update<T>& update, float* moment, const Pieces& pieces, const Sums& sums) {
  const auto blocks = static_cast<unsigned>(pieces.blocks());
  cudaStream_t stream = Context::current().stream();
  updateMoments<T, kVector><<<blocks, kThreads, 0, stream>>>(update, moment, pieces, sums);
  launched();
  updateParameter<T, kVector><<<blocks, kThreads, 0, stream>>>(update, moment, pieces, sums.step);
  launched();
}

}  // namespace

template <typename T>
void updateFull(const Call& call, const Update<T>& update) {
  auto* moment = dataOf<float>(call.in(kFullMoment));
  const Pieces pieces(update.count);
  const Scratch<double> squares(2 * pieces.blocks());
  const Scratch<float> step(1);
  const Sums sums{squares, squares + pieces.blocks(), step, Context::current().counters(1)};
  if (isAligned(update.parameter) && isAligned(update.gradient) && isAligned(moment))
    launchAll<T, true>(update, moment, pieces, sums);
  else
    launchAll<T, false>(update, moment, pieces, sums);
}

template void updateFull(const Call&, const Update<float>&);
template void updateFull(const Call&, const Update<bf16>&);

}  // namespace hint::adafactor
