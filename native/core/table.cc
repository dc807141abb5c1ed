#include "native/core/table.h"

#include "native/core/error.h"

namespace hint {

#define HINT_OP(name) OpSpec declare_##name();
#define HINT_OP_CPU_ONLY(name) OpSpec declare_##name();
#include "native/core/table.def"
#undef HINT_OP
#undef HINT_OP_CPU_ONLY

namespace {

struct Row {
  OpSpec (*declare)();
  bool hasCuda;
};

constexpr Row kRows[] = {
#define HINT_OP(name) {declare_##name, true},
#define HINT_OP_CPU_ONLY(name) {declare_##name, false},
#include "native/core/table.def"
#undef HINT_OP
#undef HINT_OP_CPU_ONLY
};

std::vector<OpSpec>& mutableTable() {
  // The table is never destroyed, because compute threads may still read it while the process ends.
  static auto& table = *new auto([] {
    std::vector<OpSpec> rows;
    for (const Row& row : kRows) rows.push_back(row.declare());
    return rows;
  }());
  return table;
}

}  // namespace

const std::vector<OpSpec>& opTable() { return mutableTable(); }

void installCudaKernels(Kernels (*lookup)(std::string_view op)) {
  std::vector<OpSpec>& table = mutableTable();
  std::vector<Kernels> found;
  for (size_t i = 0; i < table.size(); ++i) {
    found.push_back(kRows[i].hasCuda ? lookup(table[i].name) : Kernels{});
    if (!kRows[i].hasCuda) continue;
    const bool isComplete = found.back().forward && (found.back().backward || !table[i].cpu.backward);
    if (!isComplete)
      fail("INTERNAL", "The CUDA library has no ", found.back().forward ? "backward" : "forward", " kernel of the op ",
           table[i].name, "; give it one, or make its row in native/core/table.def HINT_OP_CPU_ONLY.");
  }
  for (size_t i = 0; i < table.size(); ++i) table[i].cuda = found[i];
}

const OpSpec& findOp(std::string_view name) {
  for (const OpSpec& op : opTable())
    if (name == op.name) return op;
  fail("INVALID_ARGUMENT", "There is no op named ", name, "; native/core/table.def lists them.");
}

}  // namespace hint
