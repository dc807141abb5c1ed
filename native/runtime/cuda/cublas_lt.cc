#include "native/runtime/cuda/cublas_lt.h"

#include <dlfcn.h>

#include <string>
#include <type_traits>

#include "native/runtime/open_library.h"

namespace hint::cuda::lt {
namespace {

Library open() {
  Library library;
  void* handle = openFirstLibrary("HINT_CUBLASLT", HINT_CUBLAS_LIBRARIES);
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
