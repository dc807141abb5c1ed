#pragma once

#include <set>

/// Counts of the calls of the fake cuBLASLt, and the calls that it refuses.
struct FakeCublas {
  bool refusesToStart = false, hasNoAlgorithm = false, refusesToMultiply = false;
  int products = 0;  ///< computed
  int choices = 0;   ///< number of requests for an algorithm
  int layouts = 0;   ///< that exist now
  std::set<void*> workspaces;
};

/// Exported under this name by hint_fake_cublas.so.
extern "C" FakeCublas* hint_fake_cublas();
