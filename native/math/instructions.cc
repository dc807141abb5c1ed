#include "native/math/instructions.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string_view>

#include "native/core/error.h"

namespace hint {
namespace {

constexpr std::string_view kNames[] = {"baseline", "avx2", "avx512", "avx512-vnni", "avx512-bf16", "amx"};

/// The last set that the processor has.
Instructions ofProcessor() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Instructions::baseline;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512vl") ||
      !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq"))
    return Instructions::avx2;
  if (!__builtin_cpu_supports("avx512vnni")) return Instructions::avx512;
  if (!__builtin_cpu_supports("avx512bf16")) return Instructions::avx512Vnni;
#if defined(__clang__) || __GNUC__ >= 12
  if (__builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") && __builtin_cpu_supports("amx-int8"))
    return Instructions::amx;
#endif
  return Instructions::avx512Bf16;
#else
  return Instructions::baseline;
#endif
}

Instructions limit() {
  const char* text = std::getenv("HINT_MAX_ISA");
  if (!text) return Instructions::amx;
  const auto* const found = std::find(std::begin(kNames), std::end(kNames), text);
  if (found == std::end(kNames))
    fail("INVALID_ARGUMENT", "HINT_MAX_ISA is \"", text,
         "\"; give baseline, avx2, avx512, avx512-vnni, avx512-bf16 or amx, or leave it unset.");
  return static_cast<Instructions>(found - std::begin(kNames));
}

}  // namespace

bool supports(Instructions set) {
  static const Instructions most = std::min(ofProcessor(), limit());
  return set <= most;
}

}  // namespace hint
