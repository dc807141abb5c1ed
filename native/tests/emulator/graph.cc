#include "native/runtime/cuda/graph.h"

namespace hint::cuda {
namespace {

/// The loop that a graph runs on the device, call by call. The first round stands for the capture: what its commands
/// take stays taken as long as the graph.
class EmulatedGraph final : public ReplayGraph {
 public:
  EmulatedGraph(Context& context, const Program& program, const Tensor& stop, const std::function<void(Call&)>& run)
      : context_(context), program_(program), stop_(stop), run_(run) {}
  void launch(int times) override {
    for (int round = 0; round < times && !(stop_ && *stop_.data<int32_t>() != 0); ++round) {
      const Keeping keeping(context_, kept_.empty() ? &kept_ : nullptr);
      for (const auto& call : program_.calls) run_(*call);
    }
  }

 private:
  struct Keeping {
    Keeping(Context& of, std::vector<std::shared_ptr<Buffer>>* keep) : context(of) { context.beginKeeping(keep); }
    ~Keeping() { context.endKeeping(); }
    Context& context;
  };

  Context& context_;
  std::vector<std::shared_ptr<Buffer>> kept_;
  const Program& program_;
  const Tensor stop_;
  const std::function<void(Call&)> run_;
};

}  // namespace

std::shared_ptr<ReplayGraph> captureProgram(Context& context, const Program& program, const Tensor& stop,
                                            const std::function<void(Call&)>& run) {
  check(hint::emulator::outcomeOf("cudaGraphInstantiate"), "instantiate a graph");
  return std::make_shared<EmulatedGraph>(context, program, stop, run);
}

}  // namespace hint::cuda
