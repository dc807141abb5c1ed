#include <cstring>

#include "native/collectives/nccl/communicator.h"
#include "native/core/error.h"

namespace hint::nccl {
namespace {

NcclStatus status() { return {library().version, library().reason}; }

NcclId makeId() {
  UniqueId made;
  if (const Result result = library().functions.uniqueId(&made))
    fail("NOT_SUPPORTED", "NCCL finds no network on which ranks could meet (", library().functions.text(result),
         "); NCCL_SOCKET_IFNAME names one.");
  NcclId id;
  static_assert(sizeof made.internal == sizeof id);
  std::memcpy(id.data(), made.internal, sizeof id);
  return id;
}

std::unique_ptr<Communicator> join(const NcclPlace& place, const Interrupt& interrupt) {
  return std::make_unique<NcclCommunicator>(place, interrupt);
}

}  // namespace
}  // namespace hint::nccl

extern "C" __attribute__((visibility("default"))) const hint::NcclLibrary hint_nccl_library;
const hint::NcclLibrary hint_nccl_library = {hint::nccl::status, hint::nccl::makeId, hint::nccl::join};
