#include "native/ops/random_fill/deviate.h"
#include "native/ops/random_fill/random_fill.h"
#include "native/runtime/cuda/device.cuh"

namespace hint {
namespace random_fill {
namespace {

using namespace cuda;

/// Each thread computes the four elements of one counter.
void forwardCuda(Call& call) {
  auto* destination = dataOf<float>(call.in(kDestination));
  const int64_t count = call.dim("n");
  const Distribution distribution = distributionOf(call);
  const bool uniform = distribution == Distribution::uniform;
  const float share = distribution == Distribution::truncatedNormal ? static_cast<float>(kWithinTwo) : 1.0f;
  const auto scale = static_cast<float>(call.number("scale"));
  const uint64_t seed = seedOf(call), stream = static_cast<uint64_t>(call.integer("stream"));
  each((count + 3) / 4, [=] __device__(int64_t quad) {
    const Philox random = Philox::at(seed, static_cast<uint64_t>(quad), stream);
    for (int lane = 0; lane < 4 && quad * 4 + lane < count; ++lane) {
      const float x = symmetricUniform(random.word[lane]);
      destination[quad * 4 + lane] = (uniform ? x : normalDeviate(x * share)) * scale;
    }
  });
}

}  // namespace
}  // namespace random_fill

Kernels cuda_random_fill() { return {random_fill::forwardCuda, nullptr}; }

}  // namespace hint
