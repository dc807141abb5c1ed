#pragma once

#include "native/bench/roofs.h"
#include "native/runtime/stream.h"

/// The bench on a device other than the CPU, through the same stream and op table as everything else.
namespace hint::bench {

/// Median seconds of one run of the call over `samples` samples: many runs are queued at once, so that what is measured
/// is the device. An op that advances integer state runs once a sample, from the same state. No samples: the seconds of
/// one run, just to see that it can.
double secondsOnDevice(Stream& stream, const Call& call, int samples);

/// Large matrix products on tensors of `dtype` and copies of several sizes, as the ops `linear` and `copy` do them;
/// without `samples` small ones.
Roofs measureDeviceRoofs(Stream& stream, DType dtype, int samples);

}  // namespace hint::bench
