#include "native/collectives/nccl_library.h"

#include "native/core/error.h"
#include "native/runtime/cuda_library.h"

namespace hint {
namespace {

struct Found {
  const NcclLibrary& library;
  int ordinal;
};

/// Throws NOT_SUPPORTED where CUDA or NCCL cannot be used.
Found find(const std::string& folder, int device) {
  const auto [symbol, ordinal] = cudaExport(folder, "hint_nccl_library", device);
  if (!symbol) fail("NOT_SUPPORTED", "The CUDA library has no code for NCCL; ", kBuildAgain, ".");
  const auto& library = *static_cast<const NcclLibrary*>(symbol);
  if (const NcclStatus status = library.status(); status.version.empty())
    fail("NOT_SUPPORTED", "GPUs of several ranks need NCCL, which cannot be used: ", status.reason, ".");
  return {library, ordinal};
}

}  // namespace

NcclStatus ncclStatus(const std::string& folder) {
  try {
    return find(folder, 0).library.status();
  } catch (const Error& error) {
    std::string reason = error.what();
    if (reason.ends_with('.')) reason.pop_back();
    return {"", reason};
  }
}

NcclId makeNcclId(const std::string& folder) { return find(folder, 0).library.makeId(); }

std::unique_ptr<Communicator> joinNccl(const std::string& folder, const NcclPlace& place, const Interrupt& interrupt) {
  const auto [library, ordinal] = find(folder, place.device);
  NcclPlace onDevice = place;
  onDevice.device = ordinal;
  return library.join(onDevice, interrupt);
}

}  // namespace hint
