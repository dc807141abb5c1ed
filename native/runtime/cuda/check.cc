#include "native/runtime/cuda/check.h"

#include <string>

namespace hint::cuda {

bool isFatal(cudaError_t code) {
  switch (static_cast<int>(code)) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case 226:  // cudaErrorContained, and others by number that an older toolkit does not name
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case 721:  // cudaErrorTensorMemoryLeak
    case cudaErrorMpsClientTerminated:
    case 911:  // cudaErrorExternalDevice
    case cudaErrorContextIsDestroyed:
    case cudaErrorUnknown:
      return true;
    default:
      return false;
  }
}

Error lostDevice(cudaError_t code) {
  return Error("DEVICE_LOST", std::string("The CUDA device is lost: ") + cudaGetErrorString(code) +
                                  ". Nothing on it can be read or run any more; start the process again. To find the "
                                  "kernel, set CUDA_LAUNCH_BLOCKING=1 or run it under compute-sanitizer.");
}

void failCall(cudaError_t code, const char* what) {
  cudaGetLastError();  // clears a recoverable error, so that a later call does not report it
  if (isFatal(code)) throw lostDevice(code);
  if (code == cudaErrorMemoryAllocation)
    fail("OUT_OF_MEMORY", "CUDA has no memory to ", what,
         "; lower the batch's token budget, turn on recompute, or end other processes on the device.");
  fail("INTERNAL", "CUDA failed to ", what, ": ", cudaGetErrorString(code), ".");
}

}  // namespace hint::cuda
