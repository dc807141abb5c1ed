#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "native/core/error.h"

namespace hint {

/// Errors that commands find in values on the device, such as a token id outside the vocabulary. They are known once
/// the device has executed the commands. One check covers up to 64 commands, one bit of a word each, so that the
/// commands that a tensor depends on take a few words, however many there are.
class DeferredCheck {
 public:
  virtual ~DeferredCheck() = default;
  /// Whether the device has executed all commands of the check. Never waits.
  virtual bool settled() = 0;
  /// The error of the first of these commands that failed; null when none failed, or before the check is settled. Never
  /// waits.
  virtual std::shared_ptr<const Error> error(uint64_t commands) = 0;
  /// Commands whose error has been reported to the user, so that it is reported once.
  std::atomic<uint64_t> reported{0};
};

/// Some commands of one check, as bits.
struct CheckedCommands {
  std::shared_ptr<DeferredCheck> check;
  uint64_t commands;

  std::shared_ptr<const Error> error() const { return check->error(commands); }
  /// Whether the commands are known to have succeeded.
  bool hold() const { return check->settled() && !error(); }
};
using Checks = std::vector<CheckedCommands>;

/// Adds to `checks` the commands of `more` that can still fail and that it does not have yet.
void addOpen(Checks& checks, const Checks& more);

}  // namespace hint
