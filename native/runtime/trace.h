#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "native/runtime/backend.h"

namespace hint {

/// Calls of one op that are equal in everything that their cost on a GPU depends on.
struct TracedCalls {
  std::string op;
  bool backward = false;
  DType dtype = DType::f32;  ///< of the first input
  std::vector<std::pair<std::string, int64_t>> dimensions;
  double calls = 0, flops = 0, bytes = 0, passBytes = 0, launches = 0;  ///< of all of them
};

/// The calls that a tracing device has received. Thread-safe.
class Trace {
 public:
  void add(const Call& call);
  void addCopy(double bytes);
  /// All calls since the last take(), in the order of their first occurrence.
  std::vector<TracedCalls> take();

 private:
  TracedCalls& rowOf(const std::string& key, const TracedCalls& fresh);

  mutable std::mutex mutex_;
  std::vector<TracedCalls> rows_;
  std::unordered_map<std::string, size_t> places_;
};

/// A device that accepts what a CUDA device accepts and runs nothing. Calls are noted in `trace`, memory is counted but
/// not allocated, and every read gives zeros. It counts the step of a model of any size on any machine.
std::unique_ptr<Backend> tracingBackend(std::shared_ptr<Trace> trace);

}  // namespace hint
