#pragma once

#include <napi.h>

/// The native functions that JavaScript sees; addon.cc exports them. Each throws hint::Error only.
namespace hint::binding {

using Info = Napi::CallbackInfo;

// tensors.cc
Napi::Value createTensor(const Info& info);
Napi::Value mapFile(const Info& info);
Napi::Value mapTensor(const Info& info);
Napi::Value releasePages(const Info& info);
Napi::Value firstNonFinite(const Info& info);
Napi::Value viewTensor(const Info& info);
Napi::Value cloneTensor(const Info& info);
Napi::Value releaseTensor(const Info& info);
Napi::Value assignTensor(const Info& info);
Napi::Value writeTensor(const Info& info);
Napi::Value readTensor(const Info& info);

// calls.cc
Napi::Value enqueue(const Info& info);
Napi::Value enqueueBackward(const Info& info);
Napi::Value releaseCall(const Info& info);
Napi::Value beginRecording(const Info& info);
Napi::Value endRecording(const Info& info);
Napi::Value resumeRecording(const Info& info);
Napi::Value releaseProgram(const Info& info);
Napi::Value replay(const Info& info);

// groups.cc
Napi::Value mpi(const Info& info);
Napi::Value nccl(const Info& info);
Napi::Value makeNcclId(const Info& info);
Napi::Value joinGroup(const Info& info);
Napi::Value joinGpus(const Info& info);
Napi::Value exchangeBytes(const Info& info);
Napi::Value startCollective(const Info& info);
Napi::Value finishCollectives(const Info& info);
Napi::Value interruptGroup(const Info& info);
Napi::Value groupActivity(const Info& info);
Napi::Value groupTimes(const Info& info);
Napi::Value takeGroupIntervals(const Info& info);
Napi::Value closeGroup(const Info& info);

}  // namespace hint::binding
