#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "native/runtime/backend.h"
#include "native/runtime/cuda/context.h"

namespace hint::cuda {

/// A recorded program that replays without the host.
class ReplayGraph {
 public:
  virtual ~ReplayGraph() = default;
  /// Queues up to `times` rounds, none when the stop flag is already set. When it throws, no round is queued.
  virtual void launch(int times) = 0;
};

/// Captures the program as one CUDA graph: a loop on the device around its commands that ends by a count or by the stop
/// flag, so that a replay of any length is one launch. The calls must have run once, so that their tables and memory
/// exist. `run` launches the kernels of a call, with fault words of the context. `program` must outlive the graph.
std::shared_ptr<ReplayGraph> captureProgram(Context& context, const Program& program, const Tensor& stop,
                                            const std::function<void(Call&)>& run);

}  // namespace hint::cuda
