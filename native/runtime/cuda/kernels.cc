#include "native/runtime/cuda/kernels.h"

#include <map>
#include <string>

namespace hint {

// Weak: ops whose folder has no cuda.cu, those in the CPU's own memory order, have no kernels here.
#define HINT_OP(name) __attribute__((weak)) Kernels cuda_##name();
#include "native/ops/table.def"
#undef HINT_OP

namespace cuda {

Kernels kernelsOf(const char* op) {
  // Never destroyed: compute threads may still run while the process ends.
  static const auto& kernels = *new std::map<std::string, Kernels, std::less<>>{
#define HINT_OP(name) {#name, cuda_##name ? cuda_##name() : Kernels{}},
#include "native/ops/table.def"
#undef HINT_OP
  };
  const auto found = kernels.find(std::string_view(op));
  return found == kernels.end() ? Kernels{} : found->second;
}

}  // namespace cuda
}  // namespace hint
