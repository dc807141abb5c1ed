#include "native/tests/emulator/stream.h"

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "native/tests/emulator/device.h"
#include "native/tests/emulator/emulator.h"

namespace hint::emulator {
namespace {

/// Never destroyed, because the thread may still run when the process ends.
struct State {
  std::mutex mutex;
  std::condition_variable changed;
  Stream legacy;
  std::vector<Stream*> streams{&legacy};
  int captures = 0;
  std::unordered_map<cudaGraphConditionalHandle, unsigned> conditions;
};
State& state = *new State;

void work() {
  std::unique_lock lock(state.mutex);
  for (;;) {
    std::vector<Stream*> ready;
    for (Stream* stream : state.streams)
      if (stream->done < stream->allowed) ready.push_back(stream);
    if (ready.empty()) {
      state.changed.wait(lock);
      continue;
    }
    Stream& stream = *ready[chance(ready.size())];
    Work next = std::move(stream.queue.front());
    stream.queue.pop_front();
    lock.unlock();
    next();
    next = nullptr;
    lock.lock();
    ++stream.done;
    state.changed.notify_all();
  }
}

void startThread() {
  static std::once_flag started;
  std::call_once(started, [] { std::thread(work).detach(); });
}

}  // namespace

uint64_t chance(uint64_t bound) {
  static thread_local uint64_t turn = static_cast<uint64_t>(setting("HINT_EMULATOR_SEED", 1));
  turn += 0x9E3779B97F4A7C15u;
  uint64_t bits = (turn ^ turn >> 30) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
  return bound ? (bits ^ bits >> 31) % bound : 0;
}

Stream& streamOf(cudaStream_t stream) { return stream ? *reinterpret_cast<Stream*>(stream) : state.legacy; }

Stream* newStream() {
  const std::lock_guard lock(state.mutex);
  state.streams.push_back(new Stream);
  count(1);
  return state.streams.back();
}

void destroyStream(Stream* stream) {
  wait(*stream, queuedOn(*stream));
  const std::lock_guard lock(state.mutex);
  if (stream->capture) --state.captures;
  std::erase(state.streams, stream);
  delete stream;
  count(-1);
}

void enqueue(Stream& stream, Work work) {
  startThread();
  const std::lock_guard lock(state.mutex);
  if (stream.capture) {
    stream.capture->nodes.push_back({std::move(work), 0, nullptr});
    return;
  }
  stream.queue.push_back(std::move(work));
  ++stream.queued;
  // Most work is done only when something waits for it, as on a device that is behind the host.
  if (chance(4) == 0) {
    stream.allowed = std::max(stream.allowed, stream.done + chance(stream.queued - stream.done + 1));
    state.changed.notify_all();
  }
}

void wait(Stream& stream, uint64_t count) {
  std::unique_lock lock(state.mutex);
  stream.allowed = std::max(stream.allowed, count);
  state.changed.notify_all();
  state.changed.wait(lock, [&] { return stream.done >= count; });
}

void waitForAll() {
  std::unique_lock lock(state.mutex);
  for (Stream* stream : state.streams) stream->allowed = stream->queued;
  state.changed.notify_all();
  state.changed.wait(lock, [] {
    for (const Stream* stream : state.streams)
      if (stream->done < stream->allowed) return false;
    return true;
  });
}

bool isDone(Stream& stream, uint64_t count) {
  const std::lock_guard lock(state.mutex);
  stream.allowed = std::max(stream.allowed, count);
  state.changed.notify_all();
  return stream.done >= count;
}

uint64_t queuedOn(Stream& stream) {
  const std::lock_guard lock(state.mutex);
  return stream.queued;
}

bool spoilsCapture(Stream& stream) {
  const std::lock_guard lock(state.mutex);
  if (!stream.capture) return false;
  stream.isCaptureLost = true;
  return true;
}

bool isAnyCapturing() {
  const std::lock_guard lock(state.mutex);
  return state.captures > 0;
}

void runGraph(const GraphBody& graph) {
  constexpr int kMostRounds = 1 << 20;
  for (const GraphNode& node : graph.nodes) {
    if (node.run) node.run();
    if (!node.body) continue;
    int rounds = 0;
    const auto holds = [&] {
      const std::lock_guard lock(state.mutex);
      return state.conditions[node.condition] != 0;
    };
    while (holds()) {
      runGraph(*node.body);
      if (++rounds < kMostRounds) continue;
      std::fprintf(stderr, "CUDA emulator: the loop of a graph does not end.\n");
      std::abort();
    }
  }
}

void setCondition(cudaGraphConditionalHandle handle, unsigned value) {
  const std::lock_guard lock(state.mutex);
  state.conditions[handle] = value;
}

}  // namespace hint::emulator

using namespace hint::emulator;

namespace {

GraphBody& bodyOf(cudaGraph_t graph) { return **reinterpret_cast<std::shared_ptr<GraphBody>*>(graph); }

cudaGraph_t newGraph() {
  count(1);
  return reinterpret_cast<cudaGraph_t>(new std::shared_ptr<GraphBody>(std::make_shared<GraphBody>()));
}

void deleteGraph(cudaGraph_t graph) {
  for (cudaGraph_t body : bodyOf(graph).bodies) deleteGraph(body);
  delete reinterpret_cast<std::shared_ptr<GraphBody>*>(graph);
  count(-1);
}

/// Launch functions of kernels that are added to graphs by their address.
struct Registered {
  const char* name;
  Unpack unpack;
};
std::unordered_map<void*, Registered>& registeredKernels() {
  static auto& kernels = *new std::unordered_map<void*, Registered>;
  return kernels;
}

}  // namespace

void* hint::emulator::registered(const char* name, void* kernel, Unpack unpack) {
  const std::lock_guard lock(state.mutex);
  registeredKernels()[kernel] = {name, unpack};
  return kernel;
}

extern "C" {

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned) {
  if (const cudaError_t code = outcome("cudaGraphCreate")) return code;
  *graph = newGraph();
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  deleteGraph(graph);
  return outcome("cudaGraphDestroy");
}

cudaError_t cudaGraphConditionalHandleCreate(cudaGraphConditionalHandle* handle, cudaGraph_t, unsigned value,
                                             unsigned) {
  if (const cudaError_t code = outcome("cudaGraphConditionalHandleCreate")) return code;
  static cudaGraphConditionalHandle handles = 0;
  *handle = ++handles;
  setCondition(*handle, value);
  return cudaSuccess;
}

cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t*, size_t,
                                   const cudaKernelNodeParams* parameters) {
  if (const cudaError_t code = outcome("cudaGraphAddKernelNode")) return code;
  const auto found = registeredKernels().find(parameters->func);
  if (found == registeredKernels().end()) return returned(cudaErrorInvalidDeviceFunction);
  // The kernel is launched into a capturing stream of its own, which copies its arguments.
  Stream stream;
  stream.capture = *reinterpret_cast<std::shared_ptr<GraphBody>*>(graph);
  const Configuration configuration{parameters->gridDim, parameters->blockDim, parameters->sharedMemBytes,
                                    reinterpret_cast<cudaStream_t>(&stream)};
  found->second.unpack({found->second.name, parameters->func}, configuration, parameters->kernelParams);
  *node = reinterpret_cast<cudaGraphNode_t>(stream.capture->nodes.size());
  return cudaGetLastError();
}

cudaError_t cudaGraphAddNode(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t*, const cudaGraphEdgeData*,
                             size_t, cudaGraphNodeParams* parameters) {
  if (const cudaError_t code = outcome("cudaGraphAddNode")) return code;
  if (parameters->type != cudaGraphNodeTypeConditional || parameters->conditional.type != cudaGraphCondTypeWhile)
    return returned(cudaErrorNotSupported);
  GraphBody& to = bodyOf(graph);
  const cudaGraph_t body = newGraph();
  to.bodies.push_back(body);
  to.nodes.push_back({nullptr, parameters->conditional.handle, *reinterpret_cast<std::shared_ptr<GraphBody>*>(body)});
  parameters->conditional.phGraph_out = &to.bodies.back();
  *node = reinterpret_cast<cudaGraphNode_t>(to.nodes.size());
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t handle, cudaGraph_t graph, const cudaGraphNode_t*,
                                          const cudaGraphEdgeData*, size_t, cudaStreamCaptureMode) {
  if (const cudaError_t code = outcome("cudaStreamBeginCaptureToGraph")) return code;
  Stream& stream = streamOf(handle);
  const std::lock_guard lock(state.mutex);
  if (stream.capture || &stream == &state.legacy) return returned(cudaErrorIllegalState);
  stream.capture = *reinterpret_cast<std::shared_ptr<GraphBody>*>(graph);
  stream.isCaptureLost = false;
  ++state.captures;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  const cudaError_t code = outcome("cudaStreamEndCapture");
  Stream& stream = streamOf(handle);
  const std::lock_guard lock(state.mutex);
  *graph = nullptr;
  if (!stream.capture) return returned(code ? code : cudaErrorIllegalState);
  stream.capture.reset();
  --state.captures;
  return code ? code : stream.isCaptureLost ? returned(cudaErrorStreamCaptureInvalidated) : cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  if (const cudaError_t code = outcome("cudaGraphInstantiate")) return code;
  // Bodies of loops are shared, because nothing is added to them any more.
  *executable = reinterpret_cast<cudaGraphExec_t>(
      new std::shared_ptr<GraphBody>(std::make_shared<GraphBody>(GraphBody{bodyOf(graph).nodes, {}})));
  count(1);
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete reinterpret_cast<std::shared_ptr<GraphBody>*>(executable);
  count(-1);
  return outcome("cudaGraphExecDestroy");
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (const cudaError_t code = outcome("cudaGraphLaunch")) return code;
  enqueue(streamOf(stream), [graph = *reinterpret_cast<std::shared_ptr<GraphBody>*>(executable)] { runGraph(*graph); });
  return cudaSuccess;
}
}
