#pragma once

#include <cuda_runtime.h>

#include <climits>
#include <cstddef>
#include <string>

/// The part of NCCL that the engine uses, declared by hand: it is the same in all releases since 2.14, the first whose
/// calls need not wait, and code that includes NCCL's header could be compiled on few machines only.
/// native/tests/nccl_check.cc compares these declarations with the real header where it is installed.
namespace hint::nccl {

using Comm = struct CommData*;

/// ncclUniqueId, which calls take by value
struct UniqueId {
  char internal[128];
};

/// ncclResult_t
using Result = int;
constexpr Result kSuccess = 0, kInvalidUsage = 5, kInProgress = 7;
/// ncclDataType_t
constexpr int kUint8 = 1, kFloat32 = 7, kBfloat16 = 9;
/// ncclRedOp_t
constexpr int kSum = 0;

/// ncclConfig_t as NCCL 2.14 had it. Later releases read as much of it as it says and take their defaults for the rest.
struct Config {
  size_t size = sizeof(Config);
  unsigned int magic = 0xcafebeef;
  unsigned int version = 21400;
  int blocking = 0;  ///< calls return before they are done, so that a lost rank ends no call
};
constexpr int kOldest = 21400;

struct Functions {
  Result (*version)(int*);
  Result (*uniqueId)(UniqueId*);
  Result (*init)(Comm*, int ranks, UniqueId, int rank, Config*);
  Result (*state)(Comm, Result*);
  Result (*abort)(Comm);
  Result (*finalize)(Comm);
  Result (*destroy)(Comm);
  const char* (*text)(Result);
  const char* (*lastError)(Comm);
  Result (*groupStart)();
  Result (*groupEnd)();
  Result (*reduce)(const void* from, void* to, size_t count, int dtype, int op, int root, Comm, cudaStream_t);
  Result (*allReduce)(const void* from, void* to, size_t count, int dtype, int op, Comm, cudaStream_t);
  Result (*broadcast)(const void* from, void* to, size_t count, int dtype, int root, Comm, cudaStream_t);
  Result (*allGather)(const void* from, void* to, size_t count, int dtype, Comm, cudaStream_t);
  Result (*send)(const void* from, size_t count, int dtype, int peer, Comm, cudaStream_t);
  Result (*receive)(void* to, size_t count, int dtype, int peer, Comm, cudaStream_t);
};

/// FUNCTION(member of Functions, name in the library behind "nccl")
#define HINT_NCCL_FUNCTIONS(FUNCTION) \
  FUNCTION(version, GetVersion)       \
  FUNCTION(uniqueId, GetUniqueId)     \
  FUNCTION(init, CommInitRankConfig)  \
  FUNCTION(state, CommGetAsyncError)  \
  FUNCTION(abort, CommAbort)          \
  FUNCTION(finalize, CommFinalize)    \
  FUNCTION(destroy, CommDestroy)      \
  FUNCTION(text, GetErrorString)      \
  FUNCTION(lastError, GetLastError)   \
  FUNCTION(groupStart, GroupStart)    \
  FUNCTION(groupEnd, GroupEnd)        \
  FUNCTION(reduce, Reduce)            \
  FUNCTION(allReduce, AllReduce)      \
  FUNCTION(broadcast, Broadcast)      \
  FUNCTION(allGather, AllGather)      \
  FUNCTION(send, Send)                \
  FUNCTION(receive, Recv)

/// NCCL, opened at run time; it is never closed.
struct Library {
  std::string version;  ///< "NCCL 2.27.3"; empty: it cannot be used
  std::string reason;   ///< why, without a full stop
  Functions functions = {};
};

/// Loads the library at the path in HINT_NCCL, otherwise the first of this build's names that is found.
const Library& library();

}  // namespace hint::nccl
