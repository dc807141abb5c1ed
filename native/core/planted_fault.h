#pragma once

/// Faults that a build for the property test of misuse has on demand, to show that the test finds what it looks for.
/// Every other build has none of them: there isPlanted is false when it is compiled.
namespace hint {

enum class PlantedFault { bounds, released, overflow };

#ifdef HINT_PLANTED_FAULTS
/// Whether the environment variable HINT_PLANTED_FAULT names the fault.
bool isPlanted(PlantedFault fault);
#else
constexpr bool isPlanted(PlantedFault) { return false; }
#endif

}  // namespace hint
