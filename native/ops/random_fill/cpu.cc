#include "native/ops/elementwise.h"
#include "native/ops/random_fill/deviate.h"
#include "native/ops/random_fill/random_fill.h"
#include "native/runtime/parallel.h"
#include "native/runtime/philox.h"

namespace hint::random_fill {
namespace {

/// Four elements per counter, from counter `first` on. The rounds stay a fixed inner loop so that lanes are counters.
HINT_CLONES void drawQuads(uint64_t seed, uint64_t stream, int64_t first, int64_t quads, float* out) {
  for (int64_t quad = 0; quad < quads; ++quad) {
    const auto counter = static_cast<uint64_t>(first + quad);
    uint32_t c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32);
    uint32_t c2 = static_cast<uint32_t>(stream), c3 = static_cast<uint32_t>(stream >> 32);
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * c0, p1 = uint64_t{0xCD9E8D57u} * c2;
      const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0, n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
      c1 = static_cast<uint32_t>(p1);
      c3 = static_cast<uint32_t>(p0);
      c0 = n0;
      c2 = n2;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    out[4 * quad] = symmetricUniform(c0);
    out[4 * quad + 1] = symmetricUniform(c1);
    out[4 * quad + 2] = symmetricUniform(c2);
    out[4 * quad + 3] = symmetricUniform(c3);
  }
}

HINT_CLONES void toUniform(float scale, int64_t count, float* values) {
  for (int64_t i = 0; i < count; ++i) values[i] *= scale;
}

HINT_CLONES void toNormal(float share, float scale, int64_t count, float* values) {
  for (int64_t i = 0; i < count; ++i) values[i] = normalDeviate(values[i] * share) * scale;
}

/// Elements drawn before they are transformed: both passes stay in the first cache.
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
