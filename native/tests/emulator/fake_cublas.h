#pragma once

#include <set>

/// What the cuBLASLt of the emulator was asked for, and what it is to refuse.
struct FakeCublas {
  bool refusesToStart = false, hasNoAlgorithm = false, refusesToMultiply = false;
  int products = 0;  ///< computed
  int choices = 0;   ///< times that it was asked for an algorithm
  int layouts = 0;   ///< that exist now
  std::set<void*> workspaces;
};

/// Exported under this name by hint_fake_cublas.so.
extern "C" FakeCublas* hint_fake_cublas();
