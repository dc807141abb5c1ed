#pragma once

namespace hint {

/// Sets of instructions that products are compiled for, each with all before it.
enum class Instructions { baseline, avx2, avx512, avx512Vnni, avx512Bf16, amx };

/// Whether the processor and the system have a set, and HINT_MAX_ISA admits it: "baseline", "avx2", "avx512",
/// "avx512-vnni", "avx512-bf16" or "amx". Throws INVALID_ARGUMENT when that variable is something else.
bool supports(Instructions set);

}  // namespace hint
