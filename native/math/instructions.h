#pragma once

#include <dnnl.h>

namespace hint {

/// Whether the processor has all instructions of one of oneDNN's sets, and its limit (ONEDNN_MAX_CPU_ISA) admits them.
inline bool supports(int isa) { return (static_cast<int>(dnnl_get_effective_cpu_isa()) & isa) == isa; }

}  // namespace hint
