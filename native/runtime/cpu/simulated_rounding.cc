#include "native/runtime/cpu/simulated_rounding.h"

#include "native/math/bf16.h"
#include "native/math/rounding.h"
#include "native/runtime/parallel.h"

namespace hint {
namespace {

struct Simulation {
  uint64_t seed = 0;
  uint64_t stores = 0;
};
thread_local Simulation simulation;

}  // namespace

void simulateRounding(uint64_t seed) { simulation = {seed, 0}; }

bool isRoundingSimulated() { return simulation.seed != 0; }

void storeAsBf16(const float* x, uint16_t* y, int64_t count) {
  if (simulation.seed == 0) {
    parallelFor(count, kElementGrain, [&](int64_t begin, int64_t end) { toBf16(x + begin, y + begin, end - begin); });
    return;
  }
  const Rounding rounding{Rounding::Kind::stochastic, simulation.seed, simulation.stores++};
  parallelFor(count, kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = static_cast<uint16_t>(Rounding::bitsOf(rounding(x[i], i)) >> 16);
  });
}

}  // namespace hint
