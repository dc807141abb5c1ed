#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

/// Streams whose work is queued and done by one thread, in random batches, or at last when somebody waits for it; and
/// graphs, into which work is captured instead. HINT_EMULATOR_SEED chooses among the orders.
namespace hint::emulator {

using Work = std::function<void()>;

/// Work in order; `body` is repeated while the condition holds.
struct GraphNode {
  Work run;
  cudaGraphConditionalHandle condition = 0;
  std::shared_ptr<struct GraphBody> body;
};
struct GraphBody {
  std::vector<GraphNode> nodes;
  std::vector<cudaGraph_t> bodies;  ///< handles of what loops repeat
};

struct Stream {
  std::deque<Work> queue;
  uint64_t queued = 0, done = 0;
  uint64_t allowed = 0;  ///< so much of it may be done by now
  std::shared_ptr<GraphBody> capture;
  bool isCaptureLost = false;
};

/// Null is the legacy stream, which non-blocking streams do not wait for.
Stream& streamOf(cudaStream_t stream);
Stream* newStream();
/// Waits for what is queued.
void destroyStream(Stream* stream);

/// Queues the work, or captures it.
void enqueue(Stream& stream, Work work);
/// Waits until the first `count` works of the stream are done.
void wait(Stream& stream, uint64_t count);
void waitForAll();
/// Whether they are done; lets them be done some day.
bool isDone(Stream& stream, uint64_t count);
uint64_t queuedOn(Stream& stream);
/// Whether work of the stream is captured; if so, that a call came which no capture may see.
bool spoilsCapture(Stream& stream);
bool isAnyCapturing();

void runGraph(const GraphBody& graph);

/// A number below `bound` that differs from call to call, of a sequence of the calling thread's own.
uint64_t chance(uint64_t bound);

/// The error that the CUDA call of that name is to return: what a test wants, or none.
cudaError_t outcome(const char* call);
/// The same, also kept for cudaGetLastError.
cudaError_t returned(cudaError_t code);

/// Says once for each `place` what is wrong; the process will end with kFound, at once where
/// HINT_EMULATOR_STOP is 1. Whoever takes long to find the words may
/// ask before.
bool isReported(const char* kind, const void* place);
void report(const char* kind, const void* place, const char* format, ...) __attribute__((format(printf, 3, 4)));
constexpr int kFound = 66;

}  // namespace hint::emulator

/// For libraries that compute on a stream, as cuBLASLt does: queues the work, or captures it.
extern "C" __attribute__((visibility("default"))) void hint_emulator_queue(cudaStream_t stream,
                                                                           const std::function<void()>& work);
