#include "native/core/philox.h"
#include "native/ops/random_fill/deviate.h"
#include "native/ops/random_fill/random_fill.h"
#include "native/runtime/parallel.h"

namespace hint::random_fill {
namespace {

/// Draws four elements per counter, from counter `first` on.
HINT_CLONES void drawQuads(uint64_t seed, uint64_t stream, int64_t first, int64_t quads, float* out) {
  for (int64_t quad = 0; quad < quads; ++quad) {
    const Philox random = Philox::at(seed, static_cast<uint64_t>(first + quad), stream);
    for (int lane = 0; lane < 4; ++lane) out[4 * quad + lane] = symmetricUniform(random.word[lane]);
  }
}

HINT_CLONES void toUniform(float scale, int64_t count, float* values) {
  for (int64_t i = 0; i < count; ++i) values[i] *= scale;
}

HINT_CLONES void toNormal(float share, float scale, int64_t count, float* values) {
  for (int64_t i = 0; i < count; ++i) values[i] = normalDeviate(values[i] * share) * scale;
}

/// Elements per block, so few that drawing and transforming them both stay in the first cache level.
constexpr int64_t kBlock = 4096;

void draw(Distribution distribution, float scale, uint64_t seed, uint64_t stream, int64_t first, int64_t count,
          float* out) {
  const int64_t quads = count / 4;
  drawQuads(seed, stream, first / 4, quads, out);
  if (count > 4 * quads) {
    const Philox last = Philox::at(seed, static_cast<uint64_t>(first / 4 + quads), stream);
    for (int64_t i = 4 * quads; i < count; ++i) out[i] = symmetricUniform(last.word[i & 3]);
  }
  if (distribution == Distribution::uniform)
    toUniform(scale, count, out);
  else
    toNormal(distribution == Distribution::normal ? 1.0f : static_cast<float>(kWithinTwo), scale, count, out);
}

}  // namespace

void forward(Call& call) {
  float* destination = call.in(kDestination).data<float>();
  const int64_t count = call.dim("n"), blocks = (count + kBlock - 1) / kBlock;
  const Distribution distribution = distributionOf(call);
  const auto scale = static_cast<float>(call.number("scale"));
  const uint64_t seed = seedOf(call), stream = static_cast<uint64_t>(call.integer("stream"));
  parallelFor(blocks, kElementGrain / kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t at = block * kBlock;
      draw(distribution, scale, seed, stream, at, count - at < kBlock ? count - at : kBlock, destination + at);
    }
  });
}

}  // namespace hint::random_fill
