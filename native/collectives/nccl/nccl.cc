#include "native/collectives/nccl/nccl.h"

#include <dlfcn.h>

#include <cstdlib>
#include <sstream>
#include <type_traits>

namespace hint::nccl {
namespace {

std::string versionText(int number) {
  return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." + std::to_string(number % 100);
}

void* openAny() {
  std::string names = HINT_NCCL_LIBRARIES;
  // An explicit path first, for machines where the library is in none of the usual places.
  if (const char* path = std::getenv("HINT_NCCL")) names = std::string(path) + ":" + names;
  std::istringstream list(names);
  for (std::string name; std::getline(list, name, ':');)
    if (!name.empty())
      if (void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
  return nullptr;
}

Library open() {
  Library library;
  void* handle = openAny();
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
