#pragma once

#include <memory>
#include <string>

#include "native/collectives/messages.h"

/// MPI is used by a shared library of its own for each implementation, loaded at run time, so that one build serves
/// machines with either, with both and without.
namespace hint {

/// What there is of an implementation.
struct MpiStatus {
  std::string version;  ///< as the implementation says it; empty: it cannot be used
  std::string reason;   ///< why it cannot be used, and what to do about it, without a full stop
};

/// Loads `hint_mpi_<implementation>.so` of `folder`, once for each implementation: "openmpi" or "mpich". Never throws.
MpiStatus mpiStatus(const std::string& folder, const std::string& implementation);

/// Joins the run that a launcher started this process for. Waits for the other processes; call on the thread that uses
/// the messages. Throws NOT_SUPPORTED with the reason when the implementation cannot be used, and when this process has
/// already joined and left.
std::unique_ptr<Messages> joinMpi(const std::string& folder, const std::string& implementation);

/// The functions of the library, exported under the name "hint_mpi_library".
struct MpiLibrary {
  /// Must be increased with every change of a class that both libraries use.
  int abi;
  std::string (*version)();
  std::unique_ptr<Messages> (*join)();
};
constexpr int kMpiAbi = 1;

}  // namespace hint
