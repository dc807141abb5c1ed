#include <map>

#include "native/ops/reference.h"
#include "native/runtime/error.h"

namespace hint {

#define HINT_OP(name) OpReference reference_##name();
#include "native/ops/table.def"
#undef HINT_OP

const OpReference& findReference(std::string_view name) {
  static const std::map<std::string, OpReference, std::less<>> references = {
#define HINT_OP(name) {#name, reference_##name()},
#include "native/ops/table.def"
#undef HINT_OP
  };
  const auto found = references.find(name);
  if (found == references.end()) fail("INVALID_ARGUMENT", "There is no reference for the op ", name, ".");
  return found->second;
}

}  // namespace hint
