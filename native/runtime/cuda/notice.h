#pragma once

#include <cstdio>
#include <mutex>
#include <string>

namespace hint::cuda {

/// Prints, once per `said`, that a slower way with the same results replaces one that was refused.
inline void sayOnce(std::once_flag& said, const std::string& sentence) {
  std::call_once(said, [&] { std::fprintf(stderr, "hint: %s\n", sentence.c_str()); });
}

}  // namespace hint::cuda
