#include "native/runtime/cuda/graph.h"

namespace hint::cuda {
namespace {

/// The loop that a graph runs on the device, call by call.
class EmulatedGraph final : public ReplayGraph {
 public:
  EmulatedGraph(const Program& program, const Tensor& stop, const std::function<void(Call&)>& run)
      : program_(program), stop_(stop), run_(run) {}
  void launch(int times) override {
    for (int round = 0; round < times && !(stop_ && *stop_.data<int32_t>() != 0); ++round)
      for (const auto& call : program_.calls) run_(*call);
  }

 private:
  const Program& program_;
  const Tensor stop_;
  const std::function<void(Call&)> run_;
};

}  // namespace

std::shared_ptr<ReplayGraph> captureProgram(Context&, const Program& program, const Tensor& stop,
                                            const std::function<void(Call&)>& run) {
  check(hint::emulator::outcomeOf("cudaGraphInstantiate"), "instantiate a graph");
  return std::make_shared<EmulatedGraph>(program, stop, run);
}

}  // namespace hint::cuda
