#include "native/runtime/cuda/memory.h"

#include <cuda_runtime.h>

namespace hint::cuda {
namespace {

class DeviceMemory final : public MemorySource {
 public:
  explicit DeviceMemory(int device) : device_(device) {}
  void* take(size_t bytes) override {
    void* pointer = nullptr;
    if (cudaSetDevice(device_) == cudaSuccess && cudaMalloc(&pointer, bytes) == cudaSuccess) return pointer;
    cudaGetLastError();
    return nullptr;
  }
  void give(void* pointer) override {
    // Ignores a failure, because an address alone tells CUDA its device.
    cudaSetDevice(device_);
    cudaFree(pointer);
    cudaGetLastError();
  }
  bool isSlow() const override { return true; }
  size_t available() const override {
    size_t free = 0, total = 0;
    return cudaSetDevice(device_) == cudaSuccess && cudaMemGetInfo(&free, &total) == cudaSuccess ? free : 0;
  }

 private:
  int device_;
};

class PinnedMemory final : public MemorySource {
 public:
  void* take(size_t bytes) override {
    void* pointer = nullptr;
    if (cudaHostAlloc(&pointer, bytes, cudaHostAllocDefault) == cudaSuccess) return pointer;
    cudaGetLastError();
    return nullptr;
  }
  void give(void* pointer) override { cudaFreeHost(pointer); }
  bool isSlow() const override { return true; }
};

}  // namespace

std::unique_ptr<MemorySource> deviceMemory(int device) { return std::make_unique<DeviceMemory>(device); }
std::unique_ptr<MemorySource> pinnedMemory() { return std::make_unique<PinnedMemory>(); }

}  // namespace hint::cuda
