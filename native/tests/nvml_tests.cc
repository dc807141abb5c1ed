#include <cstdlib>
#include <string>

#include "native/runtime/nvml.h"
#include "native/tests/check.h"

namespace hint {
namespace {

TEST("the energy of a GPU is read through NVML, of the one that is asked for") {
  // NVML is opened once in a process, and nothing else here asks for it.
  setenv("HINT_NVML", HINT_FAKE_NVML, 1);
  const GpuEnergy first = gpuEnergy("00000000:3b:00.0");
  CHECK_EQUAL(first.reason, std::string());
  const GpuEnergy second = gpuEnergy("00000000:3b:00.0");
  // More millijoules than 32 bits hold.
  CHECK(first.joules > 4e9);
  CHECK_EQUAL(second.joules - first.joules, 1.5);
  const GpuEnergy other = gpuEnergy("00000000:5e:00.0");
  CHECK_EQUAL(other.joules, 0.0);
  CHECK_CONTAINS(other.reason, "00000000:5e:00.0: Not Found");
}

}  // namespace
}  // namespace hint
