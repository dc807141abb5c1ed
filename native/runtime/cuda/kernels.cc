#include "native/runtime/cuda/kernels.h"

namespace hint {

// A row of the table whose function does not exist or is spelt differently is a link error.
#define HINT_OP(name) Kernels cuda_##name();
#define HINT_OP_CPU_ONLY(name)
#include "native/core/table.def"
#undef HINT_OP
#undef HINT_OP_CPU_ONLY

namespace cuda {

Kernels kernelsOf(std::string_view op) {
#define HINT_OP_CPU_ONLY(name)
#define HINT_OP(name) \
  if (op == #name) return cuda_##name();
#include "native/core/table.def"
#undef HINT_OP
#undef HINT_OP_CPU_ONLY
  return {};
}

}  // namespace cuda
}  // namespace hint
