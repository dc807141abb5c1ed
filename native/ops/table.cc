#include "native/ops/op.h"
#include "native/runtime/error.h"

namespace hint {

#define HINT_OP(name) OpSpec declare_##name();
#include "native/ops/table.def"
#undef HINT_OP

namespace {

std::vector<OpSpec>& mutableTable() {
  // Never destroyed: compute threads may still run while the process ends.
  static auto& table = *new std::vector<OpSpec>{
#define HINT_OP(name) declare_##name(),
#include "native/ops/table.def"
#undef HINT_OP
  };
  return table;
}

}  // namespace

const std::vector<OpSpec>& opTable() { return mutableTable(); }

void installKernels(DeviceType type, Kernels (*lookup)(const char* op)) {
  for (OpSpec& op : mutableTable()) op.kernels[static_cast<size_t>(type)] = lookup(op.name);
}

const OpSpec& findOp(std::string_view name) {
  for (const OpSpec& op : opTable())
    if (name == op.name) return op;
  fail("INVALID_ARGUMENT", "There is no op named ", name, "; native/ops/table.def lists them.");
}

}  // namespace hint
