#include "native/collectives/mpi_library.h"

#include <dlfcn.h>

#include <map>
#include <mutex>

#include "native/core/error.h"

namespace hint {
namespace {

/// A library of this process, or the reason why there is none. It is never unloaded: MPI can be initialised once only.
struct Loaded {
  const MpiLibrary* library = nullptr;
  std::string reason;

  Loaded(const std::string& folder, const std::string& implementation) {
    const bool isMpich = implementation == "mpich";
    const std::string packages = isMpich ? "mpich and libmpich-dev" : "openmpi-bin and libopenmpi-dev";
    const std::string path = folder + "/hint_mpi_" + implementation + ".so";
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
      const char* message = dlerror();
      const std::string text = message ? message : "unknown error";
      reason = text.find("No such file") != std::string::npos && text.find(path) != std::string::npos
                   ? "this build has no code for it; install " + packages + ", then " + kBuildAgain
                   : "its library could not be loaded: " + text;
      return;
    }
    const auto* found = static_cast<const MpiLibrary*>(dlsym(handle, "hint_mpi_library"));
    if (!found || found->abi != kMpiAbi)
      reason = path + " belongs to another version of the engine; " + kBuildAgain;
    else
      library = found;
  }
};

const Loaded& load(const std::string& folder, const std::string& implementation) {
  // Never destroyed, because threads may still use them while the process ends.
  static auto& mutex = *new std::mutex;
  static auto& all = *new std::map<std::string, Loaded>;
  const std::lock_guard lock(mutex);
  return all.try_emplace(implementation, folder, implementation).first->second;
}

}  // namespace

MpiStatus mpiStatus(const std::string& folder, const std::string& implementation) {
  const Loaded& loaded = load(folder, implementation);
  return {loaded.library ? loaded.library->version() : "", loaded.reason};
}

std::unique_ptr<Messages> joinMpi(const std::string& folder, const std::string& implementation) {
  const Loaded& loaded = load(folder, implementation);
  if (!loaded.library)
    fail("NOT_SUPPORTED", "This process was started by ", implementation == "mpich" ? "MPICH" : "Open MPI",
         ", which cannot be used: ", loaded.reason, ". Or start the command without a launcher.");
  return loaded.library->join();
}

}  // namespace hint
