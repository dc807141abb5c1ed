#pragma once

#include <dlfcn.h>

#include <cstdlib>
#include <sstream>
#include <string>

namespace hint {

/// Opens the first of some shared libraries that is there, or returns null. The library that the environment's
/// `variable` names comes before `names`, which are separated by colons: for machines where it is in none of the usual
/// places.
inline void* openFirstLibrary(const char* variable, std::string names) {
  if (const char* path = std::getenv(variable)) names = std::string(path) + ":" + names;
  std::istringstream list(names);
  for (std::string name; std::getline(list, name, ':');)
    if (!name.empty())
      if (void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
  return nullptr;
}

}  // namespace hint
