#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define HINT_HOST_DEVICE __host__ __device__
#define HINT_ALWAYS_INLINE inline
#else
#define HINT_HOST_DEVICE
/// Forces inlining into functions that are compiled for another instruction set, where the compiler would refuse it.
#define HINT_ALWAYS_INLINE inline __attribute__((always_inline))
#endif

namespace hint {

/// Philox4x32-10 (Salmon et al., 2011): a counter-based generator, so that a random number is a pure function of
/// (seed, counter) and every back end draws the same ones in any order.
struct Philox {
  uint32_t word[4];

  /// The rounds are unrolled so that the compiler vectorises a host loop over counters.
  HINT_HOST_DEVICE static HINT_ALWAYS_INLINE Philox at(uint64_t seed, uint64_t counterLow, uint64_t counterHigh) {
    uint32_t c0 = static_cast<uint32_t>(counterLow), c1 = static_cast<uint32_t>(counterLow >> 32);
    uint32_t c2 = static_cast<uint32_t>(counterHigh), c3 = static_cast<uint32_t>(counterHigh >> 32);
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
#ifndef __CUDACC__
#pragma GCC unroll 10
#endif
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
    return {{c0, c1, c2, c3}};
  }
};

/// A dropout mask. Whether unit `unit` of group `group` (a sequence, or a row) is kept at `site` of the network depends
/// on (seed, site, group, unit) alone. It is therefore the same on every back end and in a recomputed forward pass.
struct Dropout {
  float rate = 0.0f;
  uint64_t seed = 0;
  uint32_t site = 0;

  bool active() const { return rate > 0.0f; }
  /// 1/(1-rate) for kept units, 0 for dropped ones. Four consecutive units share one Philox call.
  inline float scale(uint32_t group, uint32_t unit) const {
    const Philox random = Philox::at(seed, (uint64_t{group} << 32) | (unit >> 2), site);
    return keep(random.word[unit & 3]);
  }
  inline float keep(uint32_t word) const {
    // rate in 32-bit fixed point: exact on every back end, unlike a comparison of floats.
    return word >= threshold() ? 1.0f / (1.0f - rate) : 0.0f;
  }
  inline uint32_t threshold() const { return static_cast<uint32_t>(static_cast<double>(rate) * 4294967296.0); }
  /// Writes scale(group, 0..count-1) into out.
  void fill(uint32_t group, int64_t count, float* out) const {
    for (int64_t unit = 0; unit < count; unit += 4) {
      const Philox random = Philox::at(seed, (uint64_t{group} << 32) | static_cast<uint32_t>(unit >> 2), site);
      for (int64_t lane = 0; lane < 4 && unit + lane < count; ++lane) out[unit + lane] = keep(random.word[lane]);
    }
  }
};

}  // namespace hint
