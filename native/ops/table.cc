#include "native/ops/op.h"
#include "native/runtime/error.h"

namespace hint {

#define HINT_OP(name) OpSpec declare_##name();
#include "native/ops/table.def"
#undef HINT_OP

const std::vector<OpSpec>& opTable() {
  static const std::vector<OpSpec> table = {
#define HINT_OP(name) declare_##name(),
#include "native/ops/table.def"
#undef HINT_OP
  };
  return table;
}

const OpSpec& findOp(std::string_view name) {
  for (const OpSpec& op : opTable())
    if (name == op.name) return op;
  fail("INVALID_ARGUMENT", "There is no op named ", name, "; native/ops/table.def lists them.");
}

}  // namespace hint
