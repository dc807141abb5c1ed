#include <map>

#include "native/core/error.h"
#include "native/ops/common/reference.h"

namespace hint {

#define HINT_OP(name) OpReference reference_##name();
#define HINT_OP_CPU_ONLY(name) HINT_OP(name)
#include "native/core/table.def"
#undef HINT_OP

const OpReference& findReference(std::string_view name) {
  static const std::map<std::string, OpReference, std::less<>> references = {
#define HINT_OP(name) {#name, reference_##name()},
#include "native/core/table.def"
#undef HINT_OP
#undef HINT_OP_CPU_ONLY
  };
  const auto found = references.find(name);
  if (found == references.end()) fail("INVALID_ARGUMENT", "There is no reference for the op ", name, ".");
  return found->second;
}

}  // namespace hint
