#include "native/runtime/cuda/context.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "native/runtime/cuda/gemm.h"

namespace hint::cuda {
namespace {

thread_local Context* currentContext = nullptr;

}  // namespace

OwnStream::OwnStream(int device) {
  check(cudaSetDevice(device), "select the device");
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "create a stream");
}

OwnStream::~OwnStream() { cudaStreamDestroy(stream_); }

Staging::Staging(cudaStream_t stream) : stream_(stream) {
  try {
    check(cudaHostAlloc(reinterpret_cast<void**>(&memory_), 2 * kHalf, cudaHostAllocDefault),
          "allocate staging memory");
    for (cudaEvent_t& event : done_)
      check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync), "create an event");
  } catch (...) {
    free();
    throw;
  }
}

Staging::~Staging() { free(); }

void Staging::free() {
  cudaFreeHost(memory_);
  for (cudaEvent_t event : done_)
    if (event) cudaEventDestroy(event);
}

void Staging::upload(void* to, const void* from, size_t bytes) {
  while (bytes > 0) {
    if (used_ == kHalf) {
      check(cudaEventRecord(done_[half_], stream_), "record an event");
      half_ = 1 - half_;
      used_ = 0;
      // An event never recorded counts as done.
      check(cudaEventSynchronize(done_[half_]), "wait for a copy");
    }
    const size_t count = std::min(bytes, kHalf - used_);
    unsigned char* here = memory_ + static_cast<size_t>(half_) * kHalf + used_;
    std::memcpy(here, from, count);
    check(cudaMemcpyAsync(to, here, count, cudaMemcpyHostToDevice, stream_), "copy to the device");
    used_ = std::min(kHalf, (used_ + count + 63) / 64 * 64);
    to = static_cast<unsigned char*>(to) + count;
    from = static_cast<const unsigned char*>(from) + count;
    bytes -= count;
  }
}

Context::Context(int device)
    : device_(device), stream_(device), staging_(stream_), faults_(std::make_shared<Faults>(stream_)) {
  check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device), "read the device");
  check(cudaDeviceGetAttribute(&sharedMemoryPerBlock_, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
        "read the device");
  gemm_ = std::make_unique<Gemm>();
}

Context::~Context() {
  cudaSetDevice(device_);
  cudaStreamSynchronize(stream_);
  gemm_.reset();
  tables_ = {};
  group_.reset();
  counters_.reset();
  productWorkspace_.reset();
}

Context& Context::current() {
  if (!currentContext) fail("INTERNAL", "A CUDA kernel ran outside a CUDA stream.");
  return *currentContext;
}

void Context::enter(std::shared_ptr<Allocator> allocator) {
  cudaSetDevice(device_);
  allocator_ = std::move(allocator);
  currentContext = this;
}

size_t Context::Hash::operator()(const IntList& values) const {
  size_t hash = values.size();
  for (int32_t value : values) hash = (hash ^ static_cast<uint32_t>(value)) * 0x9E3779B97F4A7C15ull + (hash >> 29);
  return hash;
}

void Context::beginCommand() {
  // Drops the words that a failed command took.
  checks_.clear();
  while (!tablesAreHeld_ && (tables_.size() > kTables || tableBytes_ > kTableBytes))
    tableBytes_ -= tables_.takeOldest()->bytes();
}

const int32_t* Context::table(const IntList& values) {
  if (values.empty()) return nullptr;
  std::shared_ptr<Buffer>* table = tables_.find(values);
  if (!table) {
    if (keep_)
      fail("INTERNAL", "A command reads a list of ", values.size(),
           " integers in its second run that it did not read in its first; it cannot be recorded.");
    auto buffer = scratch(values.size() * sizeof(int32_t));
    staging_.upload(buffer->data(), values.data(), values.size() * sizeof(int32_t));
    tableBytes_ += buffer->bytes();
    table = &tables_.add(values, std::move(buffer));
  }
  if (keep_) keep_->push_back(*table);
  return static_cast<const int32_t*>((*table)->data());
}

std::shared_ptr<Buffer> Context::scratch(size_t bytes) {
  auto buffer = std::make_shared<Buffer>(allocator_, bytes);
  buffer->ensure();
  if (keep_) keep_->push_back(buffer);
  return buffer;
}

uint32_t* Context::counters(int64_t count) {
  constexpr size_t kFewest = 4096;
  const size_t bytes = std::max(static_cast<size_t>(count) * sizeof(uint32_t), kFewest);
  if (!counters_ || counters_->bytes() < bytes) {
    if (keep_)
      fail("INTERNAL", "A command counts in ", count,
           " words in its second run and in fewer in its first; it cannot be recorded.");
    counters_ = scratch(bytes);
    check(cudaMemsetAsync(counters_->data(), 0, bytes, stream_), "zero counters");
  }
  if (keep_) keep_->push_back(counters_);
  return static_cast<uint32_t*>(counters_->data());
}

void* Context::productWorkspace(size_t bytes) {
  if (!productWorkspace_ || productWorkspace_->bytes() < bytes) productWorkspace_ = scratch(bytes);
  // A graph keeps its workspace, because it may be launched after a larger one has replaced it.
  if (keep_) keep_->push_back(productWorkspace_);
  return productWorkspace_->data();
}

FaultWord* Context::faultWord(FaultText text) {
  if (group_ && group_->isFull() && !keep_) publishFaults();
  if (!group_ || group_->isFull()) group_ = faults_->take(keep_ != nullptr);
  const auto [word, bit] = group_->add(std::move(text));
  checks_.push_back({group_, bit});
  return word;
}

bool Context::areBelow(const Tensor& integers, int64_t count) const {
  const auto& range = integers.buffer->integers();
  return !keep_ && range && range->least >= 0 && range->most < count;
}

void Context::publishFaults() {
  if (const auto group = std::exchange(group_, nullptr)) faults_->publish(*group);
}

void Context::beginKeeping(std::vector<std::shared_ptr<Buffer>>* keep) {
  // Commands of a graph use groups of their own, which are published after each of its runs.
  publishFaults();
  keep_ = keep;
}

void Context::endKeeping() {
  group_.reset();
  keep_ = nullptr;
}

}  // namespace hint::cuda
