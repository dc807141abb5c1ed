// Stands for NVML where there is no driver, in the tests that open it through HINT_NVML: one GPU, whose energy grows by
// 1.5 J at each question.
#include <cstring>

namespace {

constexpr int kNotFound = 6;
int theGpu;
unsigned long long millijoules = 5'000'000'000'000;

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT int nvmlInit_v2() { return 0; }
EXPORT const char* nvmlErrorString(int result) { return result == kNotFound ? "Not Found" : "Unknown Error"; }
EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char* pci, void** device) {
  if (std::strcmp(pci, "00000000:3b:00.0") != 0) return kNotFound;
  *device = &theGpu;
  return 0;
}
EXPORT int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* energy) {
  if (device != &theGpu) return kNotFound;
  *energy = millijoules += 1500;
  return 0;
}
