#include "native/collectives/nccl/nccl.h"

#include <dlfcn.h>

#include <string>
#include <type_traits>

#include "native/runtime/open_library.h"

namespace hint::nccl {
namespace {

std::string versionText(int number) {
  return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." + std::to_string(number % 100);
}

Library open() {
  Library library;
  void* handle = openFirstLibrary("HINT_NCCL", HINT_NCCL_LIBRARIES);
  if (!handle) {
    library.reason =
        "libnccl.so.2 was not found; install NCCL 2.14 or later (libnccl2 of NVIDIA's repository, or \"pip install "
        "nvidia-nccl-cu13\"), or set HINT_NCCL to its path";
    return library;
  }
  std::string missing;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
    if (!function && missing.empty()) missing = name;
  };
#define HINT_FIND(member, name) find(library.functions.member, "nccl" #name);
  HINT_NCCL_FUNCTIONS(HINT_FIND)
#undef HINT_FIND
  int number = 0;
  if (library.functions.version) library.functions.version(&number);
  if (!missing.empty() || number < kOldest)
    library.reason = "the NCCL found is " + versionText(number) + (missing.empty() ? "" : " and has no " + missing) +
                     "; install NCCL 2.14 or later";
  else
    library.version = "NCCL " + versionText(number);
  return library;
}

}  // namespace

const Library& library() {
  // Never destroyed: threads may still run while the process ends.
  static const auto& opened = *new Library(open());
  return opened;
}

}  // namespace hint::nccl
