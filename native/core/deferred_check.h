#pragma once

#include <atomic>
#include <memory>

#include "native/core/error.h"

namespace hint {

/// What a command found wrong with values that only its device saw (a token id outside the vocabulary): known once the
/// device has got there. Buffers carry the checks that their contents depend on.
class DeferredCheck {
 public:
  virtual ~DeferredCheck() = default;
  /// Whether the device has got there. Never waits.
  virtual bool settled() = 0;
  /// The failure, once settled; null when there was none or it is not known yet. Never waits.
  virtual std::shared_ptr<const Error> error() = 0;
  /// Set by whoever told the user, so that nobody tells it again.
  std::atomic<bool> reported{false};
};

}  // namespace hint
