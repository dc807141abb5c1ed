#pragma once

#include <string>

namespace hint {

/// The energy that a GPU has taken since its driver was loaded.
struct GpuEnergy {
  double joules = 0;
  std::string reason;  ///< a clause that says why there is none, and what to do about it; empty: there is
};

/// Asks NVML, the driver's management library, which is opened at the first call: the one that the environment variable
/// HINT_NVML names, or the driver's own. `pci` is the GPU's address on the bus, such as "00000000:3b:00.0". Never
/// throws.
GpuEnergy gpuEnergy(const std::string& pci);

}  // namespace hint
