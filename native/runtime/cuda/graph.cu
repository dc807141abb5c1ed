#include "native/runtime/cuda/graph.h"

namespace hint::cuda {
namespace {

__global__ void setRounds(int* rounds, int times) { *rounds = times; }

/// Counts a round down and sets whether the loop goes on.
__global__ void decide(cudaGraphConditionalHandle handle, int* rounds, const int32_t* stop, int done) {
  *rounds -= done;
  cudaGraphSetConditional(handle, *rounds > 0 && (stop == nullptr || *stop == 0) ? 1 : 0);
}

cudaGraphNode_t addKernel(cudaGraph_t graph, void* function, void** arguments) {
  cudaKernelNodeParams parameters = {};
  parameters.func = function;
  parameters.gridDim = dim3(1);
  parameters.blockDim = dim3(1);
  parameters.kernelParams = arguments;
  cudaGraphNode_t node = nullptr;
  check(cudaGraphAddKernelNode(&node, graph, nullptr, 0, &parameters), "add a node to a graph");
  return node;
}

cudaGraph_t addLoop(cudaGraph_t graph, cudaGraphNode_t after, cudaGraphConditionalHandle handle) {
  cudaGraphNodeParams parameters = {};
  parameters.type = cudaGraphNodeTypeConditional;
  parameters.conditional.handle = handle;
  parameters.conditional.type = cudaGraphCondTypeWhile;
  parameters.conditional.size = 1;
  cudaGraphNode_t node = nullptr;
#if CUDART_VERSION >= 13000
  check(cudaGraphAddNode(&node, graph, &after, nullptr, 1, &parameters), "add a loop to a graph");
#else
  check(cudaGraphAddNode(&node, graph, &after, 1, &parameters), "add a loop to a graph");
#endif
  return parameters.conditional.phGraph_out[0];
}

class LoopGraph final : public ReplayGraph {
 public:
  LoopGraph(Context& context, const Program& program, const Tensor& stop, const std::function<void(Call&)>& run);
  /// Waits for the last launch. It has usually ended, because a caller reads its results before it drops the graph.
  ~LoopGraph() override;
  LoopGraph(const LoopGraph&) = delete;
  LoopGraph& operator=(const LoopGraph&) = delete;
  void launch(int times) override;

 private:
  void capture(const Program& program, const Tensor& stop, const std::function<void(Call&)>& run);
  void destroy();

  Context& context_;
  const int device_;
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
  cudaEvent_t done_ = nullptr;  ///< recorded after the last launch
  std::vector<std::shared_ptr<Buffer>> kept_;
  int* rounds_ = nullptr;  ///< rounds left, on the device
};

LoopGraph::LoopGraph(Context& context, const Program& program, const Tensor& stop,
                     const std::function<void(Call&)>& run)
    : context_(context), device_(context.device()) {
  auto rounds = context_.scratch(sizeof(int));
  rounds_ = static_cast<int*>(rounds->data());
  kept_.push_back(std::move(rounds));
  context_.beginKeeping(&kept_);
  try {
    capture(program, stop, run);
  } catch (...) {
    context_.endKeeping();
    cudaGraph_t unfinished = nullptr;
    cudaStreamEndCapture(context_.stream(), &unfinished);
    cudaGetLastError();
    destroy();
    throw;
  }
  context_.endKeeping();
}

void LoopGraph::capture(const Program& program, const Tensor& stop, const std::function<void(Call&)>& run) {
  cudaStream_t stream = context_.stream();
  check(cudaGraphCreate(&graph_, 0), "create a graph");
  cudaGraphConditionalHandle handle;
  check(cudaGraphConditionalHandleCreate(&handle, graph_, 0, 0), "create a loop condition");
  const int32_t* flag = stop ? stop.data<int32_t>() : nullptr;
  int none = 0;
  void* arguments[] = {&handle, &rounds_, &flag, &none};
  const cudaGraphNode_t first = addKernel(graph_, reinterpret_cast<void*>(decide), arguments);
  const cudaGraph_t body = addLoop(graph_, first, handle);
  // Relaxed mode, because kernels may allocate scratch memory during the capture.
  check(cudaStreamBeginCaptureToGraph(stream, body, nullptr, nullptr, 0, cudaStreamCaptureModeRelaxed),
        "begin a capture");
  for (const auto& call : program.calls) run(*call);
  decide<<<1, 1, 0, stream>>>(handle, rounds_, flag, 1);
  launched();
  cudaGraph_t captured = nullptr;
  check(cudaStreamEndCapture(stream, &captured), "end a capture");
  check(cudaGraphInstantiate(&executable_, graph_, 0), "instantiate a graph");
  check(cudaEventCreateWithFlags(&done_, cudaEventDisableTiming | cudaEventBlockingSync), "create an event");
}

void LoopGraph::destroy() {
  // Waiting for an event that was never recorded returns at once.
  if (done_) cudaEventSynchronize(done_);
  if (done_) cudaEventDestroy(done_);
  if (executable_) cudaGraphExecDestroy(executable_);
  if (graph_) cudaGraphDestroy(graph_);
}

LoopGraph::~LoopGraph() {
  cudaSetDevice(device_);
  destroy();
}

void LoopGraph::launch(int times) {
  setRounds<<<1, 1, 0, context_.stream()>>>(rounds_, times);
  launched();
  check(cudaGraphLaunch(executable_, context_.stream()), "launch a graph");
  // The rounds are queued already, so a failure to record must not be reported as theirs.
  if (cudaEventRecord(done_, context_.stream()) == cudaSuccess) return;
  cudaGetLastError();
  cudaStreamSynchronize(context_.stream());
}

}  // namespace

std::shared_ptr<ReplayGraph> captureProgram(Context& context, const Program& program, const Tensor& stop,
                                            const std::function<void(Call&)>& run) {
  return std::make_shared<LoopGraph>(context, program, stop, run);
}

}  // namespace hint::cuda
