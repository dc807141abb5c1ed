#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

/// Streams and graphs. Work of streams is queued; one thread does it in random batches, at the latest when something
/// waits for it. HINT_EMULATOR_SEED chooses the random numbers. Work of a capturing stream goes into a graph instead.
namespace hint::emulator {

using Work = std::function<void()>;

/// A step of a graph; `body` is repeated while the condition holds.
struct GraphNode {
  Work run;
  cudaGraphConditionalHandle condition = 0;
  std::shared_ptr<struct GraphBody> body;
};
struct GraphBody {
  std::vector<GraphNode> nodes;
  std::vector<cudaGraph_t> bodies;  ///< handles of the bodies of its loops
};

struct Stream {
  std::deque<Work> queue;
  uint64_t queued = 0, done = 0;
  uint64_t allowed = 0;  ///< number of works that may be done by now
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
/// Whether they are done; if not, allows the thread to do them.
bool isDone(Stream& stream, uint64_t count);
uint64_t queuedOn(Stream& stream);
/// Whether the stream is capturing. If so, the capture becomes invalid, because it must not see this call.
bool spoilsCapture(Stream& stream);
bool isAnyCapturing();

void runGraph(const GraphBody& graph);

/// A random number below `bound`, from a sequence of the calling thread.
uint64_t chance(uint64_t bound);

/// The result of the CUDA call of that name: the error that a test asked for, or success.
cudaError_t outcome(const char* call);
/// The same, also kept for cudaGetLastError.
cudaError_t returned(cudaError_t code);

/// Notes a finding once for each `place`. The process then ends with kFound, at once when HINT_EMULATOR_STOP is 1.
bool isReported(const char* kind, const void* place);
void report(const char* kind, const void* place, const char* format, ...) __attribute__((format(printf, 3, 4)));
constexpr int kFound = 66;

}  // namespace hint::emulator

/// For libraries that compute on a stream, as cuBLASLt does: queues the work, or captures it.
extern "C" __attribute__((visibility("default"))) void hint_emulator_queue(cudaStream_t stream,
                                                                           const std::function<void()>& work);
