// Makes each CUDA call of a piece of work fail in turn, in the emulator. Each time the work must end with a value or an
// Error, and must give back all objects.
//   hint_cuda_sweep [EVERY]   only every EVERY-th call
#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>

#include "native/core/table.h"
#include "native/runtime/cuda_library.h"
#include "native/tests/case.h"
#include "native/tests/device_call.h"

namespace hint {
namespace {

constexpr int kOutOfMemory = 2, kIllegalAddress = 700, kUnknown = 999;
constexpr unsigned kMostSeconds = 120;

/// Functions of the emulated library for tests.
struct Emulator {
  void (*refuseCalls)(int64_t first, int64_t last, int code);
  int64_t (*calls)();
  int64_t (*live)();
  const char* (*refused)();

  Emulator() {
    const char* folder = std::getenv("HINT_CUDA_FOLDER");
    cudaStatus(folder ? folder : "");
    void* library = dlopen((std::string(folder ? folder : ".") + "/hint_cuda.so").c_str(), RTLD_NOW | RTLD_NOLOAD);
    const auto find = [&](auto& function, const char* name) {
      function = library ? reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, name)) : nullptr;
      if (!function) fail("INTERNAL", "HINT_CUDA_FOLDER is no folder of an emulated hint_cuda.so.");
    };
    find(refuseCalls, "hint_emulator_refuse_calls");
    find(calls, "hint_emulator_calls");
    find(live, "hint_emulator_live");
    find(refused, "hint_emulator_refused");
  }
};

Call firstCall(const char* op) {
  for (const OpCase& example : findReference(op).cases)
    if (!example.bench && example.error.empty()) return testing::makeCall(findOp(op), example);
  fail("INTERNAL", "The op ", op, " has no case.");
}

/// Opens a stream, runs commands with tables, counters, fault words and shared memory, some of them replayed from a
/// graph, reads their results, and closes the stream.
void work() {
  const auto stream = testing::openDevice("cuda");
  for (const char* op : {"embedding", "attention", "grouped_linear", "adafactor", "rms_norm", "sum"}) {
    Call call = firstCall(op);
    testing::runOn(*stream, call);
  }
  for (const char* op : {"embedding", "attention"}) {
    Call call = firstCall(op);
    testing::replayOn(*stream, call);
  }
}

volatile long callInHand = -1;
void sayHang(int) {
  char text[128];
  const int length = std::snprintf(text, sizeof text, "\nHangs where CUDA call %ld fails.\n", callInHand);
  if (write(STDERR_FILENO, text, static_cast<size_t>(length)) < 0) _exit(3);
  _exit(3);
}

int sweep(int every) {
  const Emulator emulator;
  signal(SIGALRM, sayHang);
  emulator.refuseCalls(-1, -1, 0);
  int64_t before = emulator.live();
  work();
  const int64_t count = emulator.calls();
  int failed = 0, total = 0;
  std::map<std::string, int> outcomes;
  const auto complain = [&](int64_t call, int code, const std::string& what) {
    ++failed;
    std::printf("CUDA call %lld (%s) failing with %d: %s\n", static_cast<long long>(call), emulator.refused(), code,
                what.c_str());
    std::fflush(stdout);
  };
  for (int64_t call = 0; call < count; call += every)
    for (int code : {kUnknown, kOutOfMemory, kIllegalAddress}) {
      ++total;
      callInHand = call;
      alarm(kMostSeconds);
      // After an illegal address all calls fail; other errors concern one call.
      emulator.refuseCalls(call, code == kIllegalAddress ? INT64_MAX : call, code);
      try {
        work();
        ++outcomes["none"];
      } catch (const Error& error) {
        ++outcomes[error.code()];
        if (std::string(error.what()).empty()) complain(call, code, "an error that says nothing");
      } catch (const std::exception& error) {
        complain(call, code, std::string("another exception, ") + error.what());
      }
      emulator.refuseCalls(-1, -1, 0);
      if (const int64_t left = emulator.live() - std::exchange(before, emulator.live()))
        complain(call, code, "left behind " + std::to_string(left) + " CUDA objects");
    }
  alarm(kMostSeconds);
  work();
  std::printf("Errors:");
  for (const auto& [code, times] : outcomes) std::printf(" %s %d", code.c_str(), times);
  std::printf("\n%d of %d failing CUDA calls ended badly\n", failed, total);
  return failed ? 1 : 0;
}

}  // namespace
}  // namespace hint

int main(int argc, char** argv) {
  try {
    return hint::sweep(argc > 1 ? std::max(1, std::atoi(argv[1])) : 1);
  } catch (const hint::Error& error) {
    std::fprintf(stderr, "%s: %s\n", error.code().c_str(), error.what());
    return 2;
  }
}
