#pragma once

#include "native/bench/roofs.h"
#include "native/runtime/stream.h"

/// The bench on a device other than the CPU, through a stream, as the engine runs ops.
namespace hint::bench {

/// Median seconds of one run of the call over `samples` samples: many runs are queued at once, so that the time is the
/// device's. An op that advances integer state runs once per sample, from the same state. With 0 samples it runs once,
/// to show that the op can run, and returns the seconds of that run.
double secondsOnDevice(Stream& stream, const Call& call, int samples);

/// Large matrix products on tensors of `dtype` and copies of several sizes, as the ops `linear` and `copy` do them;
/// small ones when `samples` is 0.
Roofs measureDeviceRoofs(Stream& stream, DType dtype, int samples);

}  // namespace hint::bench
