#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "native/runtime/backend.h"

namespace hint {

/// Calls of one op that differ in nothing that their cost depends on, as a GPU would have run them.
struct TracedCalls {
  std::string op;
  bool backward = false;
  DType dtype = DType::f32;  ///< of the first input
  std::vector<std::pair<std::string, int64_t>> dimensions;
  double calls = 0, flops = 0, bytes = 0, passBytes = 0, launches = 0;  ///< of all of them
};

/// What a tracing device was asked to do. Thread-safe.
class Trace {
 public:
  void add(const Call& call);
  void addCopy(double bytes);
  /// All since the last time, in the order in which each came up first.
  std::vector<TracedCalls> take();

 private:
  TracedCalls& rowOf(const std::string& key, const TracedCalls& fresh);

  mutable std::mutex mutex_;
  std::vector<TracedCalls> rows_;
  std::unordered_map<std::string, size_t> places_;
};

/// A device that takes what a CUDA device takes and runs nothing: calls are noted in `trace`, memory is counted and
/// never there, and whatever is read is zero. So a step of a model of any size can be counted on any machine.
std::unique_ptr<Backend> tracingBackend(std::shared_ptr<Trace> trace);

}  // namespace hint
