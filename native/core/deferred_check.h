#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "native/core/error.h"

namespace hint {

/// What some commands found wrong with values that only their device saw (a token id outside the vocabulary): known
/// once the device has got there. A check is of up to 64 commands, named by the bits of a word, so that what a tensor
/// depends on is a few words, however many commands it comes from.
class DeferredCheck {
 public:
  virtual ~DeferredCheck() = default;
  /// Whether the device has got there. Never waits.
  virtual bool settled() = 0;
  /// The failure of the first of these commands that failed, once settled; null when there was none or it is not known
  /// yet. Never waits.
  virtual std::shared_ptr<const Error> error(uint64_t commands) = 0;
  /// Commands whose failure the user was told, so that nobody tells it again.
  std::atomic<uint64_t> reported{0};
};

/// Commands of a check.
struct CheckedCommands {
  std::shared_ptr<DeferredCheck> check;
  uint64_t commands;

  std::shared_ptr<const Error> error() const { return check->error(commands); }
  /// Whether they are known to be right.
  bool hold() const { return check->settled() && !error(); }
};
using Checks = std::vector<CheckedCommands>;

/// Adds the commands of `more` that may still fail and are not there yet.
void addOpen(Checks& checks, const Checks& more);

}  // namespace hint
