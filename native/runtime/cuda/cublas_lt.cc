#include "native/runtime/cuda/cublas_lt.h"

#include <dlfcn.h>

#include <cstdlib>
#include <sstream>
#include <type_traits>

namespace hint::cuda::lt {
namespace {

void* openAny() {
  std::string names = HINT_CUBLAS_LIBRARIES;
  // An explicit path first, for machines where the library is in none of the usual places.
  if (const char* path = std::getenv("HINT_CUBLASLT")) names = std::string(path) + ":" + names;
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
    library.text = "cuBLASLt not found (own, slower matrix products); install it or set HINT_CUBLASLT to its path";
    return library;
  }
  std::string missing;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
    if (!function && missing.empty()) missing = name;
  };
#define HINT_FIND(member, name) find(library.functions.member, "cublasLt" #name);
  HINT_CUBLAS_LT_FUNCTIONS(HINT_FIND)
#undef HINT_FIND
  if (!missing.empty()) {
    library.text = "the cuBLASLt found has no " + missing + " (own, slower matrix products)";
    return library;
  }
  const size_t number = library.functions.version();
  library.text = "cuBLASLt " + std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." +
                 std::to_string(number % 100);
  library.ready = true;
  return library;
}

}  // namespace

const Library& library() {
  // Never destroyed: compute threads may still run while the process ends.
  static const auto& opened = *new Library(open());
  return opened;
}

}  // namespace hint::cuda::lt
