#pragma once

namespace hint {

/// Blocks all signals for the calling thread and the threads that it creates, except those that a fault of the thread
/// itself raises: what the process is sent is handled by the threads that JavaScript runs on.
void blockForeignSignals();

}  // namespace hint
