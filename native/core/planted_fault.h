#pragma once

/// Faults that a build with HINT_PLANTED_FAULTS commits on demand, to show that the property test of misuse finds them.
/// In every other build isPlanted is the constant false.
namespace hint {

enum class PlantedFault { bounds, released, overflow };

#ifdef HINT_PLANTED_FAULTS
/// Whether the environment variable HINT_PLANTED_FAULT names the fault.
bool isPlanted(PlantedFault fault);
#else
constexpr bool isPlanted(PlantedFault) { return false; }
#endif

}  // namespace hint
