#include "native/runtime/parallel.h"

#include <omp.h>

#include <algorithm>

namespace hint {
namespace {
thread_local int threads = 0;
}

int threadCount() {
  if (threads == 0) threads = availableCores();
  return threads;
}

void setThreadCount(int count) {
  threads = std::max(1, count);
  omp_set_num_threads(threads);
}

int availableCores() { return std::max(1, omp_get_num_procs()); }

}  // namespace hint
