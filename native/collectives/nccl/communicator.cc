#include "native/collectives/nccl/communicator.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "native/collectives/patience.h"
#include "native/runtime/cuda/check.h"
#include "native/runtime/cuda/event_mark.h"
#include "native/runtime/cuda/memory.h"

namespace hint::nccl {
namespace {

const Functions& calls() { return library().functions; }

size_t countOf(const Part& part) { return part.bytes / sizeOf(part.dtype); }
int dtypeOf(const Part& part) { return part.dtype == DType::bf16 ? kBfloat16 : kFloat32; }

}  // namespace

NcclCommunicator::NcclCommunicator(const NcclPlace& place, const Interrupt& interrupt)
    : place_(place), interrupt_(interrupt), stream_(place.device) {
  UniqueId id;
  std::memcpy(id.internal, place.id.data(), sizeof id.internal);
  Config config;
  try {
    require(calls().init(&comm_, place.size, id, place.rank, &config), "join the other ranks");
    settle("join the other ranks");
  } catch (...) {
    abort();
    throw;
  }
}

NcclCommunicator::~NcclCommunicator() { abort(); }

void NcclCommunicator::abort() {
  if (comm_) calls().abort(comm_);
  comm_ = nullptr;
}

void NcclCommunicator::checkInterrupt() {
  const auto error = interrupt_.raised();
  if (!error) return;
  abort();
  throw Error(*error);
}

void NcclCommunicator::failCall(Result result, const char* what) {
  const char* more = calls().lastError(comm_);
  const std::string said = std::string(calls().text(result)) + (more && *more ? std::string(": ") + more : "");
  // What it has launched would never end.
  abort();
  if (result == kInvalidUsage)
    fail("NOT_SUPPORTED", "NCCL refuses to ", what, " (", said,
         "); give each rank of a host a GPU of its own, of those that CUDA_VISIBLE_DEVICES shows.");
  fail("RANK_LOST", "NCCL could not ", what, ": ", said,
       ". Resume the run from its last checkpoint; NCCL_DEBUG=INFO has NCCL say more.");
}

void NcclCommunicator::require(Result result, const char* what) {
  if (result != kSuccess && result != kInProgress) failCall(result, what);
}

void NcclCommunicator::settle(const char* what) {
  for (Patience patience;; patience.pause()) {
    Result state = kInProgress;
    require(calls().state(comm_, &state), what);
    require(state, what);
    if (state == kSuccess) return;
    checkInterrupt();
  }
}

void NcclCommunicator::run(const std::function<void()>& launch) {
  const char* what = "exchange values with other ranks";
  checkInterrupt();
  cuda::check(cudaSetDevice(place_.device), "select the device");
  require(calls().groupStart(), what);
  launch();
  require(calls().groupEnd(), what);
  settle(what);
  cuda::EventMark end(place_.device, stream_);
  for (Patience patience; !end.isReached(); patience.pause()) {
    Result state = kSuccess;
    require(calls().state(comm_, &state), what);
    require(state, what);
    checkInterrupt();
  }
}

void NcclCommunicator::reduce(std::span<const Part> parts) {
  run([&] {
    for (const Part& part : parts)
      require(calls().reduce(part.data, part.data, countOf(part), dtypeOf(part), kSum, part.owner, comm_, stream_),
              "sum values of the ranks");
  });
}

void NcclCommunicator::allReduce(std::span<const Part> parts) {
  run([&] {
    for (const Part& part : parts)
      require(calls().allReduce(part.data, part.data, countOf(part), dtypeOf(part), kSum, comm_, stream_),
              "sum values of the ranks");
  });
}

void NcclCommunicator::broadcast(std::span<const Part> parts) {
  run([&] {
    for (const Part& part : parts)
      require(calls().broadcast(part.data, part.data, part.bytes, kUint8, part.owner, comm_, stream_),
              "give values to the ranks");
  });
}

void NcclCommunicator::gather(std::span<const Part> parts, int root) {
  run([&] {
    for (const Part& part : parts) {
      if (part.owner == root) continue;
      if (part.owner == rank())
        require(calls().send(part.data, part.bytes, kUint8, root, comm_, stream_), "send values to a rank");
      else if (root == rank())
        require(calls().receive(part.data, part.bytes, kUint8, part.owner, comm_, stream_), "receive values of a rank");
    }
  });
}

std::vector<uint8_t> NcclCommunicator::gatherAll(const void* own, size_t bytes) {
  const auto memory = cuda::deviceMemory(place_.device);
  std::vector<uint8_t> all(bytes * static_cast<size_t>(size()));
  const std::unique_ptr<void, std::function<void(void*)>> staged(memory->take(all.size()),
                                                                 [&](void* pointer) { memory->give(pointer); });
  if (!staged) fail("OUT_OF_MEMORY", "The GPU has no ", all.size(), " bytes to exchange values with other ranks.");
  auto* slot = static_cast<uint8_t*>(staged.get()) + bytes * static_cast<size_t>(rank());
  cuda::check(cudaMemcpyAsync(slot, own, bytes, cudaMemcpyHostToDevice, stream_), "copy to the device");
  run([&] {
    require(calls().allGather(slot, staged.get(), bytes, kUint8, comm_, stream_), "exchange values with other ranks");
  });
  cuda::check(cudaMemcpyAsync(all.data(), staged.get(), all.size(), cudaMemcpyDeviceToHost, stream_),
              "copy from the device");
  cuda::check(cudaStreamSynchronize(stream_), "copy from the device");
  return all;
}

std::vector<std::vector<uint8_t>> NcclCommunicator::exchange(const std::vector<uint8_t>& own) {
  const uint64_t length = own.size();
  const std::vector<uint8_t> bytes = gatherAll(&length, sizeof length);
  std::vector<uint64_t> lengths(static_cast<size_t>(size()));
  std::memcpy(lengths.data(), bytes.data(), bytes.size());
  const size_t longest = *std::max_element(lengths.begin(), lengths.end());
  std::vector<std::vector<uint8_t>> all(lengths.size());
  if (longest == 0) return all;
  std::vector<uint8_t> padded = own;
  padded.resize(longest);
  const std::vector<uint8_t> values = gatherAll(padded.data(), longest);
  for (size_t i = 0; i < all.size(); ++i) {
    const auto begin = values.begin() + static_cast<int64_t>(i * longest);
    all[i].assign(begin, begin + static_cast<int64_t>(lengths[i]));
  }
  return all;
}

void NcclCommunicator::barrier() { exchange({}); }

void NcclCommunicator::close() {
  require(calls().finalize(comm_), "take leave of the other ranks");
  settle("take leave of the other ranks");
  require(calls().destroy(comm_), "take leave of the other ranks");
  comm_ = nullptr;
}

}  // namespace hint::nccl
