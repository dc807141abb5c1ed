#pragma once

namespace hint {

/// Blocks, for the calling thread and the threads that it creates, all signals but those that a fault of the thread
/// itself raises. oneDNN's kernels keep numbers in the stack pointer, so a handler that interrupts one writes its frame
/// into whatever lies there.
void blockForeignSignals();

/// Between its begin and its end, what this thread's commands read may be a mapped file, and so may raise SIGBUS.
class MappedReads {
 public:
  explicit MappedReads(bool any);
  ~MappedReads();
  MappedReads(const MappedReads&) = delete;
  MappedReads& operator=(const MappedReads&) = delete;
};

/// Call before a kernel of oneDNN that reads what a command was given. Where that may be a mapped file, every thread of
/// the team gets a stack of its own for the handler of SIGBUS: see blockForeignSignals. Starts the team (1 to 2 us), as
/// OpenMP may have replaced its threads since the last time; elsewhere it costs one comparison.
void prepareForBusErrors();

}  // namespace hint
