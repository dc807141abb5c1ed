#pragma once

#include <cstdio>
#include <mutex>
#include <string>

namespace hint::cuda {

/// Tells the user, once in the life of `said`, that something slower is done in place of what was refused. Results are
/// the same, so this is no error.
inline void sayOnce(std::once_flag& said, const std::string& sentence) {
  std::call_once(said, [&] { std::fprintf(stderr, "hint: %s\n", sentence.c_str()); });
}

}  // namespace hint::cuda
