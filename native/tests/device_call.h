#pragma once

#include <memory>
#include <string>

#include "native/runtime/stream.h"

/// Cases are in host memory. These functions run them on another device and copy everything back, guards included.
namespace hint::testing {

/// A stream of the device named "cuda" or "cuda:N", with the CUDA library of this build. Throws what cudaBackend
/// throws.
std::unique_ptr<Stream> openDevice(const std::string& name);

/// The call with copies of its tensors in the device's memory; tensors that share a buffer share its copy.
std::unique_ptr<Call> mirror(Stream& stream, const Call& call);

/// Runs the call on the device and copies every buffer back. Throws what the command failed with. Returns the number of
/// kernels, memsets and copies inside the device that the call took; -1 on devices other than the emulated one.
int64_t runOn(Stream& stream, Call& call);

/// The same with the call recorded: it runs once directly and once as a replay, from the same values. In between, other
/// memory is taken, filled and released. Throws INTERNAL when the replay changes that memory.
void replayOn(Stream& stream, Call& call);

/// Waits until everything on the stream is done. Throws the first failure.
void waitFor(Stream& stream);

}  // namespace hint::testing
