#pragma once

#include <array>
#include <memory>
#include <string>

#include "native/collectives/communicator.h"

/// NCCL is used by the CUDA library, which opens NVIDIA's library at run time: neither needs to be there to build the
/// other, or to run without it.
namespace hint {

/// What there is of NCCL.
struct NcclStatus {
  std::string version;  ///< "NCCL 2.27.3"; empty: it cannot be used
  std::string reason;   ///< why it cannot be used, and what to do about it, without a full stop
};

/// Looks for CUDA and then for NCCL; `folder` is where the CUDA library is. Never throws.
NcclStatus ncclStatus(const std::string& folder);

/// What tells the ranks of one run from others: one of them makes it, and all are given it.
using NcclId = std::array<unsigned char, 128>;
/// Throws NOT_SUPPORTED with the reason when NCCL cannot be used.
NcclId makeNcclId(const std::string& folder);

struct NcclPlace {
  NcclId id;
  int rank, size;
  int device;  ///< the engine's number of this rank's GPU; no other rank of the host has it
};

/// Joins the other ranks, for which it waits; call on the thread that uses the communicator. `interrupt` outlives it.
/// Throws NOT_SUPPORTED with the reason when NCCL cannot be used or refuses the GPUs, RANK_LOST when it cannot reach
/// the others, INVALID_ARGUMENT when there is no such GPU.
std::unique_ptr<Communicator> joinNccl(const std::string& folder, const NcclPlace& place, const Interrupt& interrupt);

/// The functions that the CUDA library exports for it under the name "hint_nccl_library". Its CudaLibrary::abi is
/// theirs too.
struct NcclLibrary {
  NcclStatus (*status)();
  NcclId (*makeId)();
  /// `place.device` is CUDA's number.
  std::unique_ptr<Communicator> (*join)(const NcclPlace& place, const Interrupt& interrupt);
};

}  // namespace hint
