#include "native/runtime/signals.h"

#include <signal.h>

#include <initializer_list>

namespace hint {

void blockForeignSignals() {
  sigset_t blocked;
  sigfillset(&blocked);
  for (const int own : {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) sigdelset(&blocked, own);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
}

}  // namespace hint
