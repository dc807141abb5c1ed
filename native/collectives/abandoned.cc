#include "native/collectives/abandoned.h"

#include <mutex>
#include <utility>
#include <vector>

namespace hint {

void abandon(std::shared_ptr<void> kept) {
  // Never destroyed, as threads may come here while the process ends.
  static auto& mutex = *new std::mutex;
  static auto& all = *new std::vector<std::shared_ptr<void>>;
  const std::lock_guard lock(mutex);
  all.push_back(std::move(kept));
}

}  // namespace hint
