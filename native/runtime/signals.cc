#include "native/runtime/signals.h"

#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include <cstddef>

#include "native/runtime/parallel.h"

namespace hint {
namespace {

/// Stack bytes of the handler itself, in addition to the registers that the kernel saves (11 KB with AMX).
constexpr size_t kHandlerBytes = 64 * 1024;

/// The alternate signal stack of a thread, from its first use to the end of the thread. A thread that already has one
/// keeps it.
class SignalStack {
 public:
  SignalStack() {
    stack_t current;
    if (sigaltstack(nullptr, &current) != 0 || !(current.ss_flags & SS_DISABLE)) return;
    const size_t bytes = kHandlerBytes + getauxval(AT_MINSIGSTKSZ);
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) return;
    own_.ss_sp = memory;
    own_.ss_size = bytes;
    if (sigaltstack(&own_, nullptr) != 0) release();
  }
  ~SignalStack() {
    if (!own_.ss_sp) return;
    const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
    sigaltstack(&none, nullptr);
    release();
  }
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;

 private:
  void release() {
    munmap(own_.ss_sp, own_.ss_size);
    own_.ss_sp = nullptr;
  }
  stack_t own_{};
};

void ensureSignalStack() { [[maybe_unused]] static thread_local const SignalStack stack; }

thread_local bool readsMappedFiles = false;

}  // namespace

void blockForeignSignals() {
  sigset_t blocked;
  sigfillset(&blocked);
  for (const int own : {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) sigdelset(&blocked, own);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
}

MappedReads::MappedReads(bool any) { readsMappedFiles = any; }
MappedReads::~MappedReads() { readsMappedFiles = false; }

void prepareForBusErrors() {
  if (!readsMappedFiles) return;
  const int threads = threadCount();
  if (threads == 1) {
    ensureSignalStack();
    return;
  }
#pragma omp parallel num_threads(threads)
  ensureSignalStack();
}

}  // namespace hint
