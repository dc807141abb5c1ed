#pragma once

namespace hint {

/// Blocks all signals for the calling thread and the threads that it creates, except those that a fault of the thread
/// itself raises. oneDNN's kernels keep other values in the stack pointer, so that a handler that interrupts one would
/// overwrite foreign memory with its frame.
void blockForeignSignals();

/// While an object of this class that was made with `any` lives, commands of this thread may read a mapped file and so
/// raise SIGBUS.
class MappedReads {
 public:
  explicit MappedReads(bool any);
  ~MappedReads();
  MappedReads(const MappedReads&) = delete;
  MappedReads& operator=(const MappedReads&) = delete;
};

/// Call before a oneDNN kernel that reads a command's tensors. When these may be in a mapped file, every thread of the
/// team gets an alternate stack for the handler of SIGBUS (see blockForeignSignals for the reason). That starts the
/// team each time (1 to 2 us), because OpenMP may have replaced its threads. Otherwise it costs one comparison.
void prepareForBusErrors();

}  // namespace hint
